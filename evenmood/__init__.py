"""Fine-grained, multi-label emotion classification with the 28 GoEmotions labels."""

from evenmood.classifier import EmotionClassifier
from evenmood.errors import DataError, EvenmoodError, HubError, ModelError, UsageError
from evenmood.labels import EKMAN, GROUP_OF, GROUPS, LABELS
from evenmood.prediction import LabelScore, Prediction, WordWeight
from evenmood.text.normalization import clean
from evenmood.text_classification import pipeline

__version__ = "0.2.0"

__all__ = [
    "EKMAN",
    "GROUPS",
    "GROUP_OF",
    "LABELS",
    "DataError",
    "EmotionClassifier",
    "EvenmoodError",
    "HubError",
    "LabelScore",
    "ModelError",
    "Prediction",
    "UsageError",
    "WordWeight",
    "clean",
    "pipeline",
]
