# ruff: noqa: SIM905 - long lists of words and columns read better as one string
"""Where the sample's people live: cities with their postcodes, streets, and telephone ranges.

Telephone numbers come from the ranges that regulators keep free for fiction (NANPA 555-01xx,
Ofcom's and ARCEP's drama numbers, the Bundesnetzagentur's media numbers): nobody's phone is here.
Their mobile ranges are left out where Google's libphonenumber calls them invalid.
"""

from __future__ import annotations

# city, region, start of the postcode
US = tuple(
    tuple(line.split("|"))
    for line in """Portland|ME|041
Boston|MA|021
Providence|RI|029
Hartford|CT|061
New York|NY|100
Brooklyn|NY|112
Newark|NJ|071
Philadelphia|PA|191
Pittsburgh|PA|152
Baltimore|MD|212
Richmond|VA|232
Raleigh|NC|276
Charleston|SC|294
Atlanta|GA|303
Miami|FL|331
Tampa|FL|336
Nashville|TN|372
Louisville|KY|402
Columbus|OH|432
Cleveland|OH|441
Detroit|MI|482
Indianapolis|IN|462
Chicago|IL|606
Milwaukee|WI|532
Minneapolis|MN|554
St. Louis|MO|631
Kansas City|MO|641
Omaha|NE|681
Austin|TX|787
Houston|TX|770
Denver|CO|802
Salt Lake City|UT|841
Phoenix|AZ|850
Las Vegas|NV|891
Los Angeles|CA|900
San Francisco|CA|941
Portland|OR|972
Seattle|WA|981""".splitlines()
)
GB = tuple(
    tuple(line.split("|"))
    for line in """London|England|SE
London|England|NW
Bristol|England|BS
Leeds|England|LS
Manchester|England|M
Sheffield|England|S
Birmingham|England|B
Liverpool|England|L
Newcastle upon Tyne|England|NE
Nottingham|England|NG
Brighton|England|BN
Norwich|England|NR
Exeter|England|EX
York|England|YO
Edinburgh|Scotland|EH
Glasgow|Scotland|G
Cardiff|Wales|CF
Belfast|Northern Ireland|BT""".splitlines()
)
DE = tuple(
    tuple(line.split("|"))
    for line in """Berlin|Berlin|10
Berlin|Berlin|12
Hamburg|Hamburg|20
Kiel|Schleswig-Holstein|24
Bremen|Bremen|28
Hannover|Niedersachsen|30
Kassel|Hessen|34
Düsseldorf|Nordrhein-Westfalen|40
Köln|Nordrhein-Westfalen|50
Frankfurt am Main|Hessen|60
Stuttgart|Baden-Württemberg|70
München|Bayern|80
Nürnberg|Bayern|90
Leipzig|Sachsen|04
Dresden|Sachsen|01""".splitlines()
)
FR = tuple(
    tuple(line.split("|"))
    for line in """Paris|Île-de-France|750
Lyon|Auvergne-Rhône-Alpes|690
Marseille|Provence-Alpes-Côte d'Azur|130
Toulouse|Occitanie|310
Nantes|Pays de la Loire|440
Bordeaux|Nouvelle-Aquitaine|330
Lille|Hauts-de-France|590
Rennes|Bretagne|350
Strasbourg|Grand Est|670
Dijon|Bourgogne-Franche-Comté|210""".splitlines()
)
STREETS = {
    "US": tuple(
        f"{name} {kind}"
        for name in """Maple Oak Cedar Elm Walnut Chestnut Washington Lincoln Jefferson Lake Hill
        Park Sunset River Spring Church Franklin Highland Meadow Harbor Juniper Magnolia
        Prospect Union Willow""".split()
        for kind in ("Street", "Avenue", "Road", "Drive")
    ),
    "GB": tuple(
        f"{name} {kind}"
        for name in """Victoria Albert Church Mill Station Kings Queens Manor Grange Orchard Chapel
        Castle Windsor Alexandra Clarence Stanley Richmond Green York Springfield""".split()
        for kind in ("Road", "Street", "Lane", "Close")
    ),
    "DE": tuple(
        """Hauptstraße Schulstraße Gartenstraße Bahnhofstraße Dorfstraße Bergstraße Birkenweg
    Lindenstraße Kirchstraße Waldstraße Ringstraße Amselweg Wiesenweg Jahnstraße
    Goethestraße Schillerstraße Mozartstraße Finkenweg Rosenstraße Blumenstraße Feldstraße
    Mühlenweg Beethovenstraße Buchenweg Eichenweg Mittelstraße Poststraße Parkstraße
    Uferstraße Marktplatz Königsallee Friedrichstraße Kantstraße Lessingstraße Heideweg
    Tannenweg""".split()
    ),
    "FR": tuple(
        f"{kind} {name}"
        for kind in ("rue", "avenue", "boulevard")
        for name in (
            "de l'Église|des Écoles|du Moulin|Victor Hugo|Pasteur|Jean Jaurès|de la Gare|"
            "de la République|des Lilas|du Château|Émile Zola|Voltaire|Gambetta|de la Paix|"
            "Saint-Michel|des Acacias"
        ).split("|")
    ),
}
CITIES = {"US": US, "GB": GB, "DE": DE, "FR": FR}

# (area, first digits of the subscriber number, how many digits are left to choose)
US_AREAS = """
207 617 401 860 212 718 973 215 412 410 804 919 843 404 305 813 615 502 614 216 313 317
312 414 612 314 816 402 512 713 303 801 602 702 213 415 503 206 978 914 516 631 770 954 561 407
904 703 540 757 704 336 865 513 937 734 248 630 847 708 262 651 636 913 817 972 469 210 719
970 480 520 775 818 626 714 949 858 619 510 650 408 916 541 253 425 360""".split()
RANGES: dict[str, tuple[tuple[str, str, int], ...]] = {
    "US": tuple((area, "55501", 2) for area in US_AREAS),
    "GB": (
        *((area, "4960", 3) for area in "113 114 116 117 118 121 131 141 151 161".split()),
        ("191", "4980", 3),
        ("20", "79460", 3),
    ),
    "DE": (
        ("30", "23125", 3),
        ("69", "90009", 3),
        ("40", "66969", 3),
        ("221", "4710", 3),
        ("89", "99998", 3),
        ("171", "39200", 2),
    ),
    "FR": (
        ("1", "9900", 4),
        ("2", "6191", 4),
        ("3", "5301", 4),
        ("4", "6571", 4),
        ("5", "3649", 4),
    ),
}
# What a company far larger than the sample takes when those are used up: NANPA's other 555 lines,
# direct dialling behind the German media numbers, and exchanges that the fictional numbers are part
# of in Britain and France, where some may be somebody's. Nothing ever calls or texts them.
BEYOND: dict[str, tuple[tuple[str, str, int], ...]] = {
    "US": tuple((area, "555", 4) for area in US_AREAS),
    "GB": tuple((area, "4", 6) for area in "113 114 116 117 118 121 131 141 151 161 191".split()),
    "DE": (("30", "23125", 5), ("69", "90009", 5), ("40", "66969", 5), ("89", "99998", 5)),
    "FR": (("1", "99", 6), ("2", "61", 6)),
}
CALLING_CODE = {"US": "1", "GB": "44", "DE": "49", "FR": "33"}
DOMAINS = {
    "US": ("gmail.com", "gmail.com", "gmail.com", "yahoo.com", "outlook.com", "icloud.com"),
    "GB": ("gmail.com", "gmail.com", "btinternet.com", "outlook.com", "hotmail.co.uk"),
    "DE": ("gmail.com", "gmx.de", "web.de", "t-online.de", "posteo.de"),
    "FR": ("gmail.com", "orange.fr", "free.fr", "laposte.net", "outlook.fr"),
}
COUNTRY_NAMES = {
    "US": ("US", "USA", "United States"),
    "GB": ("GB", "UK", "United Kingdom"),
    "DE": ("DE", "Germany", "Deutschland"),
    "FR": ("FR", "France"),
}
COMPANY_WORDS = """Lighthouse Copper Granite Willow Beacon Foundry Cobalt Meridian Orchard Saltbox
Kestrel Tidewater Anchor Juniper Northgate Larkspur Cornerstone Heron Bramble Fernway""".split()
COMPANY_KINDS = {
    "US": ("Coffee LLC", "Interiors Inc.", "Hospitality LLC", "Studio"),
    "GB": ("Café Ltd", "Interiors Ltd", "Hotels plc", "Studio"),
    "DE": ("Café GmbH", "Wohnen GmbH", "Hotel KG", "Büro GbR"),
    "FR": ("Café SARL", "Déco SAS", "Hôtels SA", "Atelier"),
}
