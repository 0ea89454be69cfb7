"""What people call their columns, in the languages that exports come in, and what that says."""

from __future__ import annotations

import re
import unicodedata

ROLES = {
    role: tuple(names.split())
    for role, names in {
        "first_name": "first_name firstname given_name givenname vorname prenom fname forename",
        "last_name": "last_name lastname surname family_name familyname nachname nom lname",
        "full_name": "full_name fullname name customer_name contact_name display_name",
        "email": (
            "email e_mail mail email_address emailaddress contact_email "
            "customer_email e_mail_adresse"
        ),
        "phone": (
            "phone mobile tel telephone cell phone_number mobile_number telefon "
            "telefonnummer handy mobil"
        ),
        "birth_date": (
            "birth_date birthdate date_of_birth dateofbirth dob birthday geburtsdatum "
            "geburtstag date_de_naissance"
        ),
        "address_line1": "address_line1 address1 address street street_address strasse adresse rue",
        "city": "city town ort stadt ville",
        "region": "region state province county",
        "postal_code": "postal_code postcode zip zip_code zipcode plz postleitzahl code_postal",
        "country_code": "country_code country land pays",
        "created_at": (
            "created_at created created_on createdon signed_up_at joined_on "
            "registered_at angelegt angelegt_am erstellt erstellt_am registriert_am "
            "anlagedatum cree_le"
        ),
        "updated_at": (
            "updated_at updated updated_on modified_at modified_on modifiedon "
            "last_modified geaendert geaendert_am aktualisiert_am modifie_le"
        ),
    }.items()
}
"""By column of canonical contacts: what exports call it, as `snake` writes it."""
PERSONAL = {
    "first_name",
    "last_name",
    "full_name",
    "email",
    "phone",
    "birth_date",
    "address_line1",
    "postal_code",
}
IDENTIFIERS = {"email": "email", "phone": "phone"}
IDENTIFIER_NAMES = {
    "user_id": (
        "user_id",
        "userid",
        "login",
        "login_id",
        "customer_id",
        "customerid",
        "shop_customer_no",
    ),
    "loyalty_card": ("loyalty_card", "card_no", "card_number", "loyalty_number", "membership_no"),
}
KEY = re.compile(r"(^|_)(id|key|no|number|nr|code|uuid|guid|sku)$|(nummer|[a-z]{3}nr)$")
"""Names that sound like a key's; German writes them in one word (Kundennr)."""
_UMLAUTS = str.maketrans(
    {"ä": "ae", "ö": "oe", "ü": "ue", "ß": "ss", "æ": "ae", "ø": "oe", "å": "aa"}
)


def snake(name: str) -> str:
    """A name as staging models write it: `E-Mail` is e_mail, `Straße` is strasse."""
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", unicodedata.normalize("NFC", name))
    letters = unicodedata.normalize("NFKD", spaced.lower().translate(_UMLAUTS))
    plain = "".join(letter for letter in letters if not unicodedata.combining(letter))
    snake = re.sub(r"[^0-9a-z]+", "_", plain).strip("_") or "column"
    return f"_{snake}" if snake[0].isdigit() else snake
