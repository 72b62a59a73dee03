export { EmotionClassifier, type LoadOptions, type PredictOptions, type Texts, type Thresholds } from "./classifier.js";
export { EvenmoodError, ModelError, UsageError } from "./errors.js";
export type { LabelScore, Prediction, WordWeight } from "./prediction.js";
export type { DownloadProgress, ModelFile, ModelFiles, SourceOptions } from "./source.js";
