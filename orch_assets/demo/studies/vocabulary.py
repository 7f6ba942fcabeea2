"""The vocabulary of the made-up studies: areas, sites, people, terms and codes.

Codes have the format of MedDRA and WHODrug codes but not their content, because both dictionaries
are licensed.
"""

from typing import NamedTuple


class Area(NamedTuple):
    """A therapeutic area: its name, and the key prefix, drug and indications of its studies."""

    name: str
    prefix: str
    drug: str
    indications: tuple[str, ...]


class Lab(NamedTuple):
    """A laboratory test with its unit and reference range."""

    code: str
    name: str
    unit: str
    low: float
    high: float


ONCOLOGY = Area(
    "Oncology",
    "ONC",
    "Velatinib",
    ("non-small cell lung cancer", "metastatic breast cancer", "follicular lymphoma"),
)
CARDIOLOGY = Area(
    "Cardiology",
    "CARD",
    "Corvasartan",
    ("chronic heart failure", "atrial fibrillation", "resistant hypertension"),
)
DERMATOLOGY = Area(
    "Dermatology",
    "DERM",
    "Dermokinumab",
    ("moderate to severe plaque psoriasis", "atopic dermatitis", "hidradenitis suppurativa"),
)
NEUROLOGY = Area(
    "Neurology",
    "NEURO",
    "Neurolimod",
    ("relapsing multiple sclerosis", "early Parkinson's disease", "episodic migraine"),
)
ENDOCRINOLOGY = Area(
    "Endocrinology",
    "ENDO",
    "Glucotide",
    ("type 2 diabetes mellitus", "Graves' disease", "obesity"),
)
RESPIRATORY = Area(
    "Respiratory", "RESP", "Bronchalin", ("severe eosinophilic asthma", "COPD", "cystic fibrosis")
)
AREAS = (ONCOLOGY, CARDIOLOGY, DERMATOLOGY, NEUROLOGY, ENDOCRINOLOGY, RESPIRATORY)

SITES = (
    ("US", "Chicago Lakeside Hospital"),
    ("DE", "Universitätsklinikum Köln"),
    ("FR", "Hôpital Saint-Rémy, Lyon"),
    ("ES", "Hospital Clínico de Málaga"),
    ("PL", "Szpital Uniwersytecki w Łodzi"),
    ("JP", "東京臨床研究病院"),
    ("GB", "St Bride's Infirmary, Leeds"),
    ("CA", "Montréal General Research Centre"),
    ("BR", "Hospital São Lucas, Porto Alegre"),
    ("SE", "Göteborgs Kliniska Forskningsenhet"),
    ("AU", "Perth Clinical Trials Unit"),
    ("IT", "Policlinico di Forlì"),
)
SITE_STATUSES = ("Enrollment Open", "Enrollment Open", "Enrollment Closed", "Pending", "Closed")

FIRST_NAMES = (
    "Amélie", "Björn", "Carlos", "Dorota", "Emma", "Farid", "Grace", "Haruto", "Inês", "James",
    "Katarzyna", "Liam", "María", "Noah", "Olga", "Priya", "Quentin", "Rosa", "Søren", "Thomas",
)  # fmt: skip
LAST_NAMES = (
    "Andersson", "Brown", "Castro", "Dubois", "Eriksen", "Ferreira", "García", "Hoffmann", "Ito",
    "Jansen", "Kowalski", "Lefèvre", "Müller", "Nguyen", "O'Connor", "Patel", "Quinn", "Rossi",
    "Smith", "Tanaka",
)  # fmt: skip

ROLES = (
    ("Data Manager", "Reviews data and closes queries", 1, "SPONSOR"),
    ("Clinical Research Associate", "Monitors sites", 2, "SPONSOR"),
    ("Medical Coder", "Codes terms", 2, "SPONSOR"),
    ("Principal Investigator", "Signs casebooks", 3, "SITE"),
    ("Research Coordinator", "Enters data", 4, "SITE"),
)

KEYWORDS = (
    ("Data Entry Error", "DEE", 15362),
    ("Protocol Deviation", "PD", 15363),
    ("Source Verified", "SDV", 15364),
)

# Term as entered, preferred term, code.
ADVERSE_EVENTS = (
    ("Headache", "Headache", "10019211"),
    ("headache, left side", "Headache", "10019211"),
    ("Nausea", "Nausea", "10028813"),
    ("Feeling sick", "Nausea", "10028813"),
    ("Tiredness", "Fatigue", "10016256"),
    ("Müdigkeit", "Fatigue", "10016256"),
    ("Rash on both arms", "Rash", "10037844"),
    ("Common cold", "Nasopharyngitis", "10028810"),
    ("Elevated ALT", "Alanine aminotransferase increased", "10001551"),
    ("Low neutrophils", "Neutropenia", "10029354"),
    ("Fall at home", "Fall", "10016173"),
    ("Chest pain", "Angina pectoris", "10002383"),
    ("Pneumonia", "Pneumonia", "10035664"),
    ("Céphalée; nausée", "Headache", "10019211"),
)

# Treatment as entered, preferred name, code, indication, dose, unit, route.
MEDICATIONS = (
    ("Paracetamol", "PARACETAMOL", "00020001001", "Headache", 500, "mg", "ORAL"),
    ("Tylenol", "PARACETAMOL", "00020001001", "Fever", 500, "mg", "ORAL"),
    ("Ibuprofen 400", "IBUPROFEN", "00109201001", "Pain", 400, "mg", "ORAL"),
    ("Metformin", "METFORMIN", "00082701001", "Diabetes", 850, "mg", "ORAL"),
    ("Salbutamol spray", "SALBUTAMOL", "00139501001", "Dyspnoea", 100, "µg", "INHALATION"),
    ("Ondansetron", "ONDANSETRON", "00955301001", "Nausea", 8, "mg", "INTRAVENOUS"),
    ("Vitamin D₃", "COLECALCIFEROL", "00107901001", "Prophylaxis", 1000, "IU", "ORAL"),
)

LABS = (
    Lab("ALT", "Alanine aminotransferase", "U/L", 7, 55),
    Lab("CREAT", "Creatinine", "µmol/L", 60, 110),
    Lab("HGB", "Haemoglobin", "g/dL", 11.5, 16.5),
    Lab("NEUT", "Neutrophils", "10^9/L", 1.8, 7.5),
    Lab("K", "Potassium", "mmol/L", 3.5, 5.1),
)

REASONS_FOR_CHANGE = (
    "Data entry error",
    "Additional information from source",
    "Query response",
    "Übertragungsfehler",
)
