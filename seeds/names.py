# ruff: noqa: SIM905 - long lists of words and columns read better as one string
"""Words the sample company is made of: given names, surnames and their shorter forms."""

from __future__ import annotations

FEMALE_EN = tuple(
    """Emma Olivia Charlotte Amelia Sophie Grace Elizabeth Katherine Margaret Jennifer Jessica
    Sarah Hannah Rebecca Rachel Laura Emily Megan Victoria Alexandra Samantha Stephanie
    Nicole Christina Patricia Barbara Susan Deborah Catherine Theresa Abigail Natalie Julia
    Caroline Lucy Eleanor Florence Isabella Ruby Alice Daisy Evelyn Harriet Imogen Jasmine
    Lauren Molly Naomi Penelope Rosemary Savannah Tabitha Valerie Wendy Yvonne Zoe Bridget
    Claudia Diana Frances Gloria Helen Irene Joanna Kimberly Lillian Madeline Nora Phoebe
    Renée María Siân Chloë""".split()
)
MALE_EN = tuple(
    """James Robert William Michael Thomas Richard Christopher Matthew Joseph Daniel Anthony Andrew
    Benjamin Nicholas Alexander Samuel Edward Jonathan Timothy Gregory Stephen Patrick
    Kenneth Ronald Lawrence Frederick Charles David George Henry Jack Oliver Harry Noah Leo
    Arthur Theodore Oscar Ethan Lucas Mason Logan Jacob Isaac Nathan Dylan Owen Caleb Adrian
    Brandon Curtis Desmond Elliot Felix Gareth Hugo Ivan Julian Kevin Liam Malcolm Neil
    Peter Quentin Russell Sebastian Tristan Vincent Walter Xavier José André Seán Jesús""".split()
)
FEMALE_DE = tuple(
    """Anna Marie Lena Katharina Johanna Elisabeth Sabine Susanne Claudia Petra Monika Ursula
    Franziska Annika Birgit Carolin Dorothea Eva Friederike Greta Hannelore Ines Jana Karin
    Lotte Magdalena Nadine Ottilie Paula Renate Silke Theresa Ulrike Verena Wiebke Zoë Käthe
    Bärbel Jördis Sørine""".split()
)
MALE_DE = tuple(
    """Alexander Andreas Benedikt Christian Dieter Eberhard Florian Friedrich Georg Heinrich Ingo
    Johannes Jürgen Karl Klaus Lukas Markus Matthias Niklas Oskar Paul Philipp Ralf Sebastian
    Stefan Tobias Ulrich Volker Wolfgang Maximilian Björn Günther Jörg Søren Rüdiger Götz Leon
    Felix Hans Torsten""".split()
)
FEMALE_FR = tuple(
    """Camille Léa Manon Chloé Élodie Juliette Mathilde Charlotte Aurélie Sophie Isabelle Nathalie
    Françoise Céline Hélène Amélie Béatrice Delphine Geneviève Inès Jeanne Laure Margaux Noémie
    Pauline Sandrine Valérie Zélie""".split()
)
MALE_FR = tuple(
    """Antoine Baptiste Clément Damien Étienne François Guillaume Hugo Jérôme Julien Laurent Louis
    Marc Mathieu Nicolas Olivier Pascal Quentin Rémi Sébastien Théo Thierry Vincent Xavier Yves
    Gaël Loïc Benoît""".split()
)
LAST_EN = tuple(
    """Smith Johnson Williams Brown Jones Miller Davis Wilson Anderson Taylor Moore Martin Thompson
    White Harris Clark Lewis Robinson Walker Young Allen King Wright Scott Hill Green Adams
    Baker Nelson Carter Mitchell Roberts Turner Phillips Campbell Parker Evans Edwards
    Collins Stewart Morris Rogers Reed Cook Morgan Bell Murphy Bailey Cooper Richardson Cox
    Howard Ward Peterson Gray Watson Brooks Kelly Sanders Price Bennett Wood Barnes Ross
    Henderson Coleman Jenkins Perry Powell Long Patterson Hughes Butler Simmons Foster
    Bryant Russell Griffin Hayes Myers Ford Hamilton Graham Sullivan Wallace Woods Cole West
    Owens Reynolds Fisher Ellis Harrison Gibson McDonald Cruz Marshall Gomez Murray Freeman
    Wells Webb Simpson Stevens Tucker Porter Hunter Hicks Crawford Boyd Mason Kennedy Warren
    Dixon Ramos Burns Gordon Shaw Holmes Rice Robertson Hunt Black Daniels Palmer Mills
    Nichols Grant Knight Ferguson Stone Hawkins Dunn Perkins Hudson Spencer Gardner Payne
    Pierce Berry Matthews Arnold Wagner Willis Ray Watkins Olson Carroll Duncan Snyder Hart
    Cunningham Bradley Lane Andrews Ruiz Harper Fox Riley Armstrong Carpenter Weaver Greene
    Lawrence Elliott Chavez Sims Austin Peters Kelley Franklin Lawson Fields Ryan Gutiérrez
    Schmidt Carr Vasquez Castillo Wheeler Chapman Oliver Montgomery Richards Williamson
    Johnston Banks Meyer Bishop McCoy Howell Alvarez Morrison Hansen Fernández Garza Harvey
    Little Burton Stanley Nguyen George Jacobs Reid Kim Fuller Lynch Dean Gilbert Garrett
    Romero Welch Larson Frazier Burke Hanson Day Mendoza Moreno Bowman Medina Fowler O'Brien
    O'Neill Núñez Peña Ashworth Blackwood Cartwright Dalrymple Eastwood Fairclough
    Greenhalgh Hathaway Ingleby Jardine Kilbride Lockhart Mountford Netherton Oakeshott
    Pemberton Ravenscroft Sedgwick Thistlewood Underhill Vickers Wainwright Yarwood""".split()
)
LAST_DE = tuple(
    """Müller Schmidt Schneider Fischer Weber Meyer Wagner Becker Schulz Hoffmann Schäfer Koch
    Bauer Richter Klein Wolf Schröder Neumann Schwarz Zimmermann Braun Krüger Hofmann
    Hartmann Lange Krause Lehmann Köhler Maier Walter König Mayer Huber Kaiser Fuchs Peters
    Lang Scholz Möller Weiß Jung Hahn Schubert Vogel Friedrich Keller Günther Frank Berger
    Winkler Roth Beck Lorenz Baumann Franke Albrecht Schuster Simon Ludwig Böhm Winter Kraus
    Martin Schumacher Krämer Vogt Stein Jäger Otto Sommer Groß Seidel Heinrich Brandt Haas
    Schreiber Graf Dietrich Ziegler Kuhn Kühn Pohl Engel Horn Busch Bergmann Thomas Voigt
    Sauer Arnold Wolff Pfeiffer Nørgaard Größer Übelacker""".split()
)
LAST_FR = tuple(
    """Martin Bernard Thomas Petit Robert Richard Durand Dubois Moreau Laurent Simon Michel Lefèvre
    Leroy Roux David Bertrand Morel Fournier Girard Bonnet Dupont Lambert Fontaine Rousseau
    Vincent Müller Lefebvre Faure André Mercier Blanc Guérin Boyer Garnier Chevalier
    François Legrand Gauthier Garcia Perrin Robin Clément Morin Nicolas Henry Roussel
    Mathieu Gautier Masson Marchand Duval Denis Dumont Marie Lemaire Noël Meyer Dufour
    Meunier Brun Blanchard Giraud Joly Rivière Lucas Brunet Gaillard Barbier Arnaud Martínez
    Gérard Roche Renard Schmitt Roy Leroux Colin Vidal Caron Picard Roger Fabre Aubert
    Lemoine Renaud Dumas Lacroix Olivier Philippe""".split()
)
# formal name -> what friends, and sign-up forms, get to see
NICKNAMES: dict[str, tuple[str, ...]] = {
    "Elizabeth": ("Liz", "Beth", "Lizzie"),
    "Katherine": ("Kate", "Kathy", "Katie"),
    "Catherine": ("Cathy", "Kate"),
    "Margaret": ("Maggie", "Peggy", "Meg"),
    "Jennifer": ("Jen", "Jenny"),
    "Jessica": ("Jess", "Jessie"),
    "Rebecca": ("Becky",),
    "Victoria": ("Vicky", "Tori"),
    "Alexandra": ("Alex", "Sandra"),
    "Samantha": ("Sam",),
    "Stephanie": ("Steph",),
    "Nicole": ("Nikki",),
    "Christina": ("Chris", "Tina"),
    "Patricia": ("Pat", "Trish", "Patty"),
    "Barbara": ("Barb",),
    "Susan": ("Sue", "Susie"),
    "Deborah": ("Debbie", "Deb"),
    "Theresa": ("Terry", "Tess"),
    "Abigail": ("Abby",),
    "Eleanor": ("Ellie", "Nell"),
    "Isabella": ("Bella",),
    "Kimberly": ("Kim",),
    "Madeline": ("Maddie",),
    "Frances": ("Fran",),
    "Penelope": ("Penny",),
    "James": ("Jim", "Jimmy"),
    "Robert": ("Bob", "Rob", "Bobby"),
    "William": ("Bill", "Will", "Billy"),
    "Michael": ("Mike", "Mick"),
    "Thomas": ("Tom", "Tommy"),
    "Richard": ("Rick", "Dick", "Rich"),
    "Christopher": ("Chris",),
    "Matthew": ("Matt",),
    "Joseph": ("Joe", "Joey"),
    "Daniel": ("Dan", "Danny"),
    "Anthony": ("Tony",),
    "Andrew": ("Andy", "Drew"),
    "Benjamin": ("Ben",),
    "Nicholas": ("Nick",),
    "Alexander": ("Alex",),
    "Samuel": ("Sam",),
    "Edward": ("Ed", "Ted", "Eddie"),
    "Jonathan": ("Jon",),
    "Timothy": ("Tim",),
    "Gregory": ("Greg",),
    "Stephen": ("Steve",),
    "Patrick": ("Pat", "Paddy"),
    "Kenneth": ("Ken",),
    "Ronald": ("Ron",),
    "Lawrence": ("Larry",),
    "Frederick": ("Fred",),
    "Charles": ("Charlie", "Chuck"),
    "David": ("Dave",),
    "Theodore": ("Ted", "Theo"),
    "Nathan": ("Nate",),
    "Katharina": ("Kathi",),
    "Johanna": ("Hanna",),
    "Elisabeth": ("Lisa", "Elli"),
    "Susanne": ("Susi",),
    "Franziska": ("Franzi",),
    "Magdalena": ("Lena",),
    "Maximilian": ("Max",),
    "Sebastian": ("Basti",),
    "Matthias": ("Matze",),
    "Friedrich": ("Fritz",),
    "Johannes": ("Hannes",),
    "Guillaume": ("Guy",),
    "Sébastien": ("Seb",),
}
