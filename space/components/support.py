"""Link to a helpline for texts that mention self-harm.

A list of phrases, not a model: it matches the writer's own wish to die or to hurt themselves, in English, Spanish and
Chinese, but not figures of speech ("this traffic is killing me", "I'm dying of laughter"). Nothing is stored or sent.
"""

import re

from space.components.texts import translate_html

HELPLINE_URL = "https://findahelpline.com"
_ENGLISH = (
    r"\b(?:kill|killing|hang|hanging|shoot|shooting|drown|drowning|end|ending) (?:my ?self|my own life)\b(?! laughing)",
    r"\b(?:end|ending) (?:my (?:own )?life|it all)\b",
    r"\b(?:take|taking) my (?:own )?life\b(?! (?:savings|seriously|back))",
    r"\b(?:hurt|hurting|cut|cutting|harm|harming|starve|starving) my ?self(?= |[.,!?;:)]|$)"
    r"(?! (?:shaving|while|on|opening|off|with the|with a|a (?:slice|piece)|some|another|loose|short|slack|"
    r"in the kitchen))",
    r"\bself[- ]?harm(?:ing|ed)?\b(?! (?:awareness|charity|training|policy|research))",
    r"\b(?:i|i'm|im|i am|i feel|been|was|feeling) (?:\w+ ){0,3}suicidal\b",
    r"\b(?:commit|committing|attempt|attempting|attempted|contemplating|considering|thinking (?:about|of)|"
    r"thoughts of) suicide\b",
    r"\bi (?:just |really |only |honestly |sometimes |often )*"
    r"(?:want|wanna|wish|would like|hope|need|plan|going|deserve) (?:to |i (?:would|could|was) )?(?:just )?"
    r"(?:die|be dead|dead|unalive)\b(?! (?:of|from) (?:laugh|embarrass|cringe|shame|cute)| laughing)",
    r"\bwish i (?:were|was) (?:dead|never born)\b",
    r"\bwish i(?:'d| had) never been born\b",
    r"\b(?:don'?t|do not|no longer) (?:want|wanna) to (?:live|be alive|exist|wake up)\b(?! (?:in|with|here|near|at|"
    r"on|there|together|that|like|next|so|early|at))",
    r"\b(?:don'?t|do not) wanna (?:live|be alive|exist)\b(?! (?:in|with|here|near|at|there|like))",
    r"\b(?:no|not a|any) (?:reason|point) (?:to|in|of) (?:live|living|being alive|going on living)\b"
    r"(?! (?:in|near|here))",
    r"\b(?:better off|everyone'?s better|better) (?:without me|dead)\b(?! (?:weight|end))",
    r"\bunalive my ?self\b",
)
_SPANISH = (
    r"\b(?:quiero|quisiera|deseo|prefiero|ojal[aá]) (?:morir(?:me)?|morirme ya|estar muert[oa])\b"
    r"(?! de (?:risa|la risa|ganas|verg))",
    r"\b(?:me quiero|me quisiera|quiero|voy a|pienso en|ganas de|pensado en) (?:matarme|suicidarme|quitarme la vida|"
    r"hacerme daño|cortarme las venas|lastimarme)\b",
    r"\bme (?:quiero|voy a|quisiera) (?:matar|morir|suicidar)\b(?! de (?:risa|la risa|verg|ganas))",
    r"\b(?:no quiero|ya no quiero|no tengo ganas de|sin ganas de) (?:vivir|seguir vivi[eé]ndo|seguir viviendo)\b"
    r"(?! (?:en|con|aqu[ií]|all[ií]|cerca|as[ií]|junto))",
    r"\bacabar con (?:mi vida|todo esto y morir)\b",
    r"\b(?:me (?:corto|hago daño) a prop[oó]sito|autolesi[oó]n(?:arme)?|me autolesion[oéa]\w*)\b",
    r"\bpensamientos suicidas\b|\bsuicidarme\b",
)
_CHINESE = (
    r"(?:想|要|打算|准备|试图|企图)(?:去)?(?:自杀|自殺|自残|自殘|轻生|輕生|寻死|尋死)",
    r"我(?:真的|好|只|就|很)?想(?:去)?死(?!你|妳|他|她|它|我了|大家|家)",
    r"(?:不想|不愿|不願)(?:再)?活(?:了|下去|着|著)",
    r"(?:结束|結束)(?:我)?(?:自己)?的?(?:生命|性命)",
    r"活(?:着|著)(?:真)?(?:没|沒)(?:有)?(?:意思|意义|意義)",
    r"(?:割腕|伤害自己|傷害自己)",
)
PHRASES = re.compile("|".join((*_ENGLISH, *_SPANISH, *_CHINESE)), re.IGNORECASE)


def mentions_self_harm(text: str) -> bool:
    """Return whether the writer of a text expresses a wish to die or to hurt themselves."""
    return bool(PHRASES.search(" ".join(text.replace("’", "'").split())))


def helpline(language: str) -> str:
    """Render the link to a helpline, in the page's language."""
    link = f'<a href="{HELPLINE_URL}" target="_blank" rel="noopener noreferrer">findahelpline.com</a>'
    return f'<p class="support">{translate_html(language, "support")} {link}</p>'
