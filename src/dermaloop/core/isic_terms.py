"""What the terms of the ISIC archive mean among the eight diagnoses: data, no logic (see `core.taxonomy`).

A rule names a branch of the archive's tree of diagnoses and holds for all below it; the longest rule that fits a term
decides. The names in `ITSELF_ONLY` hold for the bare name alone: what lies below is decided term by term, so that a
term which the archive adds one day is reported instead of guessed. A branch with no diagnoses was looked at and is
none of the eight; a term that no rule fits has not been looked at.
Source of the terms: the archive's package isic-metadata (4.12.0), `DiagnosisEnum` and `LegacyDxEnum`. Source of the
grouping: Tschandl et al. 2018, doi:10.1038/sdata.2018.161 (HAM10000: what NV, BKL, AKIEC, DF and VASC comprise), and
where that paper is silent the WHO classification of skin tumours, 4th edition 2018, as each row says.
"""

from __future__ import annotations

_EPIDERMAL = "Benign:Benign epidermal proliferations"
_MELANOCYTIC = "Benign:Benign melanocytic proliferations"
_FIBROUS = "Benign:Benign soft tissue proliferations - Fibro-histiocytic"
_VASCULAR = "Benign:Benign soft tissue proliferations - Vascular"
_FOLLICULAR = "Malignant:Malignant adnexal epithelial proliferations - Follicular"
_KERATINOCYTIC = "Malignant:Malignant epidermal proliferations"

BENIGN, MALIGNANT, NONE = "benign", "malignant", ""

RULES: tuple[tuple[str, str], ...] = (
    # Known only to be benign or malignant: any class of that side. Indeterminate: says nothing of the eight.
    ("Benign", BENIGN),
    ("Malignant", MALIGNANT),
    ("Indeterminate", NONE),
    ("Benign:Collision - Only benign proliferations", BENIGN),
    ("Malignant:Collision - At least one malignant proliferation", MALIGNANT),
    # Melanoma, in situ and metastatic ones with it.
    ("Malignant:Malignant melanocytic proliferations (Melanoma)", "MEL"),
    # Keratinocyte cancers. HAM10000's akiec holds carcinoma in situ (Bowen's disease) beside actinic keratosis.
    (_KERATINOCYTIC, "AKIEC|SCC"),
    (f"{_KERATINOCYTIC}:Squamous cell carcinoma in situ", "AKIEC"),
    (f"{_KERATINOCYTIC}:Squamous cell carcinoma, Invasive", "SCC"),
    (f"{_KERATINOCYTIC}:Squamous cell carcinoma, NOS", "SCC"),
    (f"{_KERATINOCYTIC}:Keratoacanthoma", "SCC"),  # WHO 2018: a variant of squamous cell carcinoma
    (f"{_KERATINOCYTIC}:Verrucous carcinoma", "SCC"),  # WHO 2018: likewise
    (f"{_KERATINOCYTIC}:Bowenoid papulosis", NONE),
    (f"{_FOLLICULAR}:Basal cell carcinoma", "BCC"),
    (f"{_FOLLICULAR}:Baso-squamous carcinoma", "BCC|SCC"),
    ("Indeterminate:Indeterminate epidermal proliferations", "AKIEC"),  # actinic keratosis, and of the lip (cheilitis)
    # Naevi.
    (_MELANOCYTIC, "NV"),
    (f"{_MELANOCYTIC}:Nevus", "NV"),
    (f"{_MELANOCYTIC}:Proliferative nodule in congenital melanocytic nevi without atypia", "NV"),
    (f"{_MELANOCYTIC}:Dermal melanocytosis", NONE),
    (f"{_MELANOCYTIC}:Lentiginous melanocytic proliferation", NONE),
    (f"{_MELANOCYTIC}:Lentigo simplex", NONE),
    (f"{_MELANOCYTIC}:Pigmented epithelioid melanocytoma", NONE),
    # Benign keratosis: seborrheic keratosis, solar lentigo and lichen-planus-like keratosis.
    (_EPIDERMAL, "BKL"),
    (f"{_EPIDERMAL}:Lichen planus like keratosis", "BKL"),
    (f"{_EPIDERMAL}:Pigmented benign keratosis", "BKL"),
    (f"{_EPIDERMAL}:Seborrheic keratosis", "BKL"),
    (f"{_EPIDERMAL}:Solar lentigo", "BKL"),
    (f"{_EPIDERMAL}:Acantholytic acanthoma", NONE),
    (f"{_EPIDERMAL}:Clear cell acanthoma", NONE),
    (f"{_EPIDERMAL}:Epidermal nevus", NONE),
    (f"{_EPIDERMAL}:Epidermolytic acanthoma", NONE),
    (f"{_EPIDERMAL}:Large cell acanthoma", NONE),
    (f"{_EPIDERMAL}:Melanoacanthoma", NONE),
    (f"{_EPIDERMAL}:Porokeratosis", NONE),
    # Dermatofibroma alone: its branch holds many others as frequent.
    (_FIBROUS, NONE),
    (f"{_FIBROUS}:Dermatofibroma", "DF"),
    # Vascular lesions: angiomas, angiokeratomas, pyogenic granulomas, haemorrhage.
    (_VASCULAR, "VASC"),
    (f"{_VASCULAR}:Acquired elastotic hemangioma", "VASC"),
    (f"{_VASCULAR}:Acroangiodermatitis of Mali", "VASC"),
    (f"{_VASCULAR}:Angiokeratoma", "VASC"),
    (f"{_VASCULAR}:Angiolymphoid hyperplasia with eosinophilia", "VASC"),
    (f"{_VASCULAR}:Arterio-venous malformation", "VASC"),
    (f"{_VASCULAR}:Capillary vascular malformation", "VASC"),
    (f"{_VASCULAR}:Glomeruloid hemangioma", "VASC"),
    (f"{_VASCULAR}:Hemangioma", "VASC"),
    (f"{_VASCULAR}:Lymphangioma", "VASC"),
    (f"{_VASCULAR}:Noninvoluting congenital hemangioma", "VASC"),
    (f"{_VASCULAR}:Other vascular or lymphatic malformation or hamartoma", "VASC"),
    (f"{_VASCULAR}:Pyogenic granuloma", "VASC"),
    (f"{_VASCULAR}:Rapidly involuting congenital hemangioma", "VASC"),
    (f"{_VASCULAR}:Telangiectasia", "VASC"),
    (f"{_VASCULAR}:Vascular spider", "VASC"),
    (f"{_VASCULAR}:Venous lake", "VASC"),
    (f"{_VASCULAR}:Venous malformation", "VASC"),
    (f"{_VASCULAR}:Verrucous hemangioma", "VASC"),
    (f"{_VASCULAR}:Glomangiomyoma", NONE),
    (f"{_VASCULAR}:Glomus tumor", NONE),
    (f"{_VASCULAR}:Nevus anemicus", NONE),
    ("Benign:Hemorrhagic lesions", "VASC"),
    # Looked at, and none of the eight.
    ("Benign:Benign - Other", NONE),
    ("Benign:Benign adnexal epithelial proliferations - Apocrine or Eccrine", NONE),
    ("Benign:Benign adnexal epithelial proliferations - Follicular", NONE),
    ("Benign:Benign adnexal epithelial proliferations - Sebaceous", NONE),
    ("Benign:Benign soft tissue proliferations - Adipocytic", NONE),
    ("Benign:Benign soft tissue proliferations - Cartilagenous and ossifying", NONE),
    ("Benign:Benign soft tissue proliferations - Muscle tissue or myofibroblastic", NONE),
    ("Benign:Benign soft tissue proliferations - Myoepithelial", NONE),
    ("Benign:Benign soft tissue proliferations - Neural", NONE),
    ("Benign:Cysts", NONE),
    ("Benign:Exogenous", NONE),
    ("Benign:Flat melanotic pigmentations - not melanocytic nevus", NONE),
    ("Benign:Inflammatory or infectious diseases", NONE),
    ("Benign:Langerhans cell proliferations", NONE),
    ("Benign:Mast cell proliferations", NONE),
    ("Indeterminate:Indeterminate melanocytic proliferations", NONE),
    ("Malignant:Lymphocytic proliferations - B-Cell", NONE),
    ("Malignant:Lymphocytic proliferations - T-Cell/NK", NONE),
    ("Malignant:Malignant adnexal epithelial proliferations - Apocrine or Eccrine", NONE),
    (_FOLLICULAR, NONE),
    ("Malignant:Malignant adnexal epithelial proliferations - Sebaceous", NONE),
    ("Malignant:Malignant soft tissue proliferations - Adipocytic", NONE),
    ("Malignant:Malignant soft tissue proliferations - Cartilagenous and ossifying", NONE),
    ("Malignant:Malignant soft tissue proliferations - Fibro-histiocytic", NONE),
    ("Malignant:Malignant soft tissue proliferations - Muscle tissue or myofibroblastic", NONE),
    ("Malignant:Malignant soft tissue proliferations - Myoepithelial", NONE),
    ("Malignant:Malignant soft tissue proliferations - Neural", NONE),
    ("Malignant:Malignant soft tissue proliferations - Unknown or other histiogenesis", NONE),
    ("Malignant:Malignant soft tissue proliferations - Vascular", NONE),
    ("Malignant:Merkel cell proliferation", NONE),
    ("Malignant:Skin metastasis of internal solid cancer - non-hematological", NONE),
)
"""(branch, meaning): codes joined by '|', `benign` or `malignant` for every class of that side, or nothing."""

ITSELF_ONLY: frozenset[str] = frozenset(
    {"Benign", "Indeterminate", "Malignant", _EPIDERMAL, _MELANOCYTIC, _VASCULAR, _KERATINOCYTIC}
)
"""Rules that say nothing of the terms below them."""

LEGACY: dict[str, str] = {
    "actinic keratosis": "AKIEC",
    "angiokeratoma": "VASC",
    "angioma": "VASC",
    "basal cell carcinoma": "BCC",
    "dermatofibroma": "DF",
    "lichenoid keratosis": "BKL",
    "melanoma": "MEL",
    "melanoma metastasis": "MEL",
    "nevus": "NV",
    "nevus spilus": "NV",
    "pigmented benign keratosis": "BKL",
    "pyogenic granuloma": "VASC",
    "seborrheic keratosis": "BKL",
    "solar lentigo": "BKL",
    "squamous cell carcinoma": "SCC",
    "vascular lesion": "VASC",
    "acrochordon": NONE,
    "adnexal tumor": NONE,
    "aimp": NONE,
    "angiofibroma or fibrous papule": NONE,
    "atypical melanocytic proliferation": NONE,
    "atypical spitz tumor": NONE,
    "cafe-au-lait macule": NONE,
    "clear cell acanthoma": NONE,
    "ephelis": NONE,
    "epidermal nevus": NONE,
    "lentigo nos": NONE,
    "lentigo simplex": NONE,
    "merkel cell carcinoma": NONE,
    "mucosal melanosis": NONE,
    "neurofibroma": NONE,
    "other": NONE,
    "scar": NONE,
    "sebaceous adenoma": NONE,
    "sebaceous hyperplasia": NONE,
    "verruca": NONE,
}
"""The archive's former field `diagnosis`, in lower case."""

UNKNOWN: frozenset[str] = frozenset({"", "unknown", "none", "nan", "n/a", "na"})
"""Words that state no diagnosis."""
