"""Invented names for invented people, with the letters that break careless software.

Apostrophes (straight and typographic), accents, other Latin letters, hyphens, blanks, capitals inside a word and
one-letter names are there on purpose.
"""

import unicodedata

GIVEN_NAMES: tuple[str, ...] = (
    "Ada", "Aisha", "Aleksander", "Amara", "Ana Lucía", "Anaïs", "Anders", "Anouk", "Ansel", "Arlo", "Aroha", "Astrid",
    "Ayşe", "Beatriz", "Benedikt", "Bo", "Brónach", "Bruno", "Calla", "Caoimhe", "Cato", "Chidi", "Chloë", "Cormac",
    "D'Andre", "Dagny", "Dalia", "Daniyar", "Delphine", "Dilan", "Dorothea", "Ebba", "Edvard", "Efua", "Eilidh", "Elif",
    "Elōra", "Emeka", "Enzo", "Esmé", "Eun-ji", "Fatou", "Fenna", "Fionn", "Flora", "Gaia", "Gideon", "Goran",
    "Grażyna", "Hana", "Haruto", "Hedda", "Henrike", "Hugo", "Ibrahim", "Ilse", "Imani", "Ines", "Ivo", "Jamal",
    "Jean-Luc", "Joaquín", "Jonna", "Josefa", "Jun", "Kaia", "Kamala", "Kateryna", "Kenji", "Kwame", "LaToya", "Laszlo",
    "Leilani", "Linnéa", "Lorcan", "Łucja", "Maëlle", "Mahina", "Malik", "María José", "Mateo", "Mei", "Mette", "Mira",
    "Mo'ana", "Naledi", "Nils", "Nkechi", "Noor", "Nora", "O", "Odile", "Oisín", "Olu", "Orla", "Oskar",
    "Pilar", "Priya", "Quill", "Rafael", "Rania", "Renée", "Rohan", "Rosalind", "Ruairí", "Saga", "Samir", "Sanne",
    "Seán", "Shanice", "Sigrid", "Sólveig", "Søren", "Tālia", "Tariq", "Tevita", "Thandi", "Tobias", "Ursula",
    "Valentín", "Veda", "Wanjiru", "Wren", "Xochitl", "Yara", "Yusuf", "Zoë", "Žofia",
)  # fmt: skip

FAMILY_NAMES: tuple[str, ...] = (
    "Aaltonen", "Abara", "Achterberg", "Adeyo", "Åkerblom", "Al-Hadid", "Albescu", "Almqvist", "Alvarado Ruiz", "Amsel",
    "Anand", "Ardley", "Arroyo", "Ashdown", "Aubrac", "Ayodele", "Bakkerud", "Balogh", "Banerjea", "Barrowclough",
    "Beaulieu", "Beck-Larsen", "Bellwether", "Benítez", "Birchall", "Bjørnstad", "Blackwood", "Bondarchuk", "Borowski",
    "Boyce", "Brackenbury", "Brightwater", "Cabrera", "Caldicott", "Castellanos", "Çetin", "Chandrakar",
    "Chisholm-Reid", "Cisneros", "Cockburn", "Colmenares", "Coppersmith", "Crane", "Czerny", "D'Alessio", "D’Amore",
    "Dahlgren", "Danjuma", "De la Cruz", "de Vries", "Delacroix", "Dembélé", "Deng", "Dickinson-Shaw", "Dlamini",
    "Dragomir", "Drummond", "Dubček", "Dunmore", "Eastwick", "Eguchi", "Eide", "Ekström", "Elphick", "Encinas",
    "Ercan", "Espinoza", "Eze", "Fairweather", "Farrow", "Fernsby", "Ferreira", "Fitzwarren", "Fjeld", "Fontaine",
    "Forsström", "Fujimori", "Gallowglass", "Garr", "Ghanem", "Giannakis", "Glasscock", "Goh", "Goldwater", "Graça",
    "Greenleaf", "Grünwald", "Guðnadóttir", "Gupte", "Hägg", "Halloran", "Harkaway", "Hartono", "Hasegawa",
    "Hathersage", "Hawksley", "Heikkinen", "Hollander", "Holub", "Horvat", "Ibáñez", "Igwe", "Ilunga", "Ingram-West",
    "Iqbal", "Ivanenko", "Jagiełło", "Janssens", "Jaramillo", "Jokinen", "Jumaev", "Kahale", "Kalita", "Kamara",
    "Karlsdóttir", "Kaur", "Keoghan", "Kettleburn", "Kierkebæk", "Kim", "Kinoshita", "Kobayakawa", "Koroma", "Kováč",
    "Kruszewski", "Lacombe", "Lam", "Langstroth", "Larkspur", "Le Goff", "Lindqvist", "Locke", "Lopez-O'Hara", "Łoś",
    "Lundgaard", "M'Baye", "Mac Giolla", "MacAllister", "Magnusson", "Malhotra", "Mansaray", "Marchetti", "Matsuda",
    "McCullough", "Mendes", "Merriweather", "Mihaylov", "Montclair", "Moreau", "Mulder", "Mwangi", "N'Dour",
    "Nakagawa", "Nasser", "Navarrete", "Nguyễn", "Nightingale", "Noboa", "Norrgård", "Novák", "Nwosu", "O'Brannigan",
    "O'Shea", "Obuya", "Ødegaard", "Oduya", "Okafor", "Olander", "Ólafsdóttir", "Ongaro", "Orlov", "Osei",
    "Ostrowska", "Øverby", "Pacheco", "Pankhurst", "Papadaki", "Park", "Pelletier", "Pemberton", "Peñalosa",
    "Petrović", "Piątek", "Pomfrey", "Quayle", "Quintanilla", "Rasmussen", "Ravensdale", "Reyes", "Rosenthal",
    "Rowntree", "Ruiz", "Rydberg", "Saelens", "Saint-Clair", "Salgado", "Sandoval", "Santos Lima", "Schäfer",
    "Schreiber", "Selassie", "Sharma", "Silverthorne", "Šimić", "Sokolova", "St. John", "Strömberg", "Suárez", "Süß",
    "Svoboda", "Tahir", "Tamm", "Tanaka", "Te Aroha", "Thistlewood", "Thorne", "Toivonen", "Torres Vega", "Tsiolkas",
    "Tu", "Uddin", "Uribe", "Vaičiūnas", "van den Berg", "Van Houten", "Vasquez", "Vestergaard", "Villanueva",
    "von Arx", "Vries", "Wainwright", "Wei", "Whitlock", "Wildsmith", "Wójcik", "Xiong", "Yamane", "Yıldız",
    "Zabala", "Zeller", "Zhao", "Zieliński",
)  # fmt: skip

SCHOOL_NAMES: tuple[str, ...] = (
    "Harbour", "Lincoln Grove", "Saint Brigid's", "Copper Ridge", "Willow Creek", "Mount Aspen", "Old Mill",
    "Lakeshore", "Juniper", "Five Oaks", "Northgate", "Peñasco", "Riverbend", "Stonebridge", "Tamarack", "Eastfield",
)  # fmt: skip

_LETTERS_WITHOUT_DECOMPOSITION = str.maketrans(
    {"ø": "o", "ł": "l", "æ": "ae", "ß": "ss", "ð": "d", "ı": "i", "þ": "th"}
)


def ascii_slug(name: str) -> str:
    """The letters and digits of a name in lower-case ASCII, as in e-mail addresses: `O'Shea` -> `oshea`."""
    plain = unicodedata.normalize("NFKD", name.lower().translate(_LETTERS_WITHOUT_DECOMPOSITION))
    return "".join(letter for letter in plain if letter.isascii() and letter.isalnum())


GIVEN_SLUGS: tuple[str, ...] = tuple(map(ascii_slug, GIVEN_NAMES))
FAMILY_SLUGS: tuple[str, ...] = tuple(map(ascii_slug, FAMILY_NAMES))
