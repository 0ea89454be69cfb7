"""The words that column headers are made of, in the languages that we have met them in."""

from __future__ import annotations

import re


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


# Header, lower case, words joined by one underscore (or by none): what it means.
SYNONYMS: dict[str, frozenset[str]] = {
    "id": _names(
        "id rec_id record_id unique_id row_id uid source_record_id contact_key contact_id recid "
        "rowid uniqueid recordid pk key"
    ),
    "source": _names(
        "source source_system data_source source_dataset system sourcesystem datasource "
        "source_name dataset"
    ),
    "full_name": _names(
        "name full_name fullname complete_name person_name customer_name contact_name name_full "
        "display_name primary_name_full client_name patient_name nombre_completo nom_complet "
        "first_and_surname vollname native_name_full native_name names"
    ),
    "first_name": _names(
        "first_name firstname first fname given_name givenname given forename forenames "
        "given_names vorname prenom prénom nombre nombres nome voornaam name_first "
        "primary_name_first christian_name fornavn imie"
    ),
    "middle_name": _names(
        "middle_name middlename middle mname middle_initial mi middle_names second_name "
        "name_middle primary_name_middle"
    ),
    "last_name": _names(
        "last_name lastname last lname surname sname family_name familyname family sur_name "
        "nachname familienname nom nom_de_famille apellido apellidos cognome achternaam "
        "name_last primary_name_last efternamn etternavn nazwisko"
    ),
    "suffix": _names("suffix name_suffix name_sfx generation suffix_name primary_name_suffix"),
    "email": _names(
        "email e_mail email_address mail emailaddress e_mail_address courriel correo "
        "correo_electronico email1 email2 primary_email"
    ),
    "phone": _names(
        "phone phone_number phonenumber telephone tel mobile cell cellphone cell_phone "
        "mobile_phone home_phone work_phone telefon handy telephone_number phone1 phone2 "
        "telefono téléphone portable phone_no tel_no mobile_number full_phone_number phone_num"
    ),
    "birth_date": _names(
        "birth_date birthdate dob date_of_birth dateofbirth birthday born birth_dt dt_of_birth "
        "geburtsdatum date_de_naissance naissance fecha_de_nacimiento fecha_nacimiento "
        "geburtstag geboortedatum data_di_nascita birth d_o_b born_on"
    ),
    # a birth date in three columns
    "birth_year": _names(
        "birth_year year_of_birth yob by byear birthyear dob_year dob_y dob_yyyy yearofbirth b_year "
        "birth_yr birth_y geburtsjahr annee_naissance ano_nacimiento geboortejaar"
    ),
    "birth_month": _names(
        "birth_month month_of_birth mob bm bmonth birthmonth dob_month dob_m dob_mm monthofbirth "
        "b_month birth_mo birth_m geburtsmonat mois_naissance mes_nacimiento geboortemaand"
    ),
    "birth_day": _names(
        "birth_day day_of_birth bd bday birthday_day dob_day dob_d dob_dd dayofbirth b_day birth_d "
        "geburtstag_tag jour_naissance dia_nacimiento geboortedag"
    ),
    "age": _names("age alter edad age_at_year_end age_years birth_age"),
    "sex": _names("sex gender gender_code sex_code geschlecht sexe sexo gndr"),
    "street": _names(
        "street address address_1 address1 address_line1 address_line_1 addressline1 "
        "street_address street_name addr addr1 addr_line1 adresse strasse straße rue "
        "street_line1 direccion calle res_street_address street1 road mailing_street "
        "mailing_address_street_name address_line"
    ),
    "address": _names("full_address address_full addr_full complete_address anschrift"),
    "street_number": _names(
        "street_number house_number street_no house_no housenumber streetnumber hausnummer "
        "house_num building_number mailing_address_street_number numero"
    ),
    "unit": _names(
        "unit unit_number apartment apt apartment_number flat suite mailing_address_unit_number "
        "unit_num address_line2 address_2 address2 addressline2 addr_line2 addr2"
    ),
    "po_box": _names("po_box mailing_address_po_box pobox postfach"),
    "city": _names(
        "city town suburb locality municipality ort stadt ville ciudad wohnort city_name "
        "mailing_address_city addr_city place res_city_desc res_city"
    ),
    "region": _names(
        "state region province county state_code mailing_address_state addr_state bundesland "
        "provincia state_province res_state state_cd"
    ),
    "postcode": _names(
        "postcode zip zipcode zip_code postal_code postalcode post_code plz postleitzahl "
        "code_postal cp mailing_address_zipcode addr_postal_code postal pcode zip5 "
        "codigo_postal postcode_fake"
    ),
    "country": _names("country country_code land pays pais addr_country nation"),
}

BIRTH_PARTS = ("birth_year", "birth_month", "birth_day")

# Fields that several columns may have.
MANY = frozenset({"email", "phone", "identifier", "attribute", "ignored"})

# A word that makes a header that of an identifier of one person.
IDENTIFIERS = _names(
    "ssn sin nin nhs passport license licence id_number ssnum tin taxid loyalty card "
    "account member membership voter ncid cookie userid customerid npi mrn cpf curp dni nie "
    "sec soc anonymous visitor device"
)

# ... unless one of these says that it only describes one.
DESCRIPTIONS = _names("country state type status role class issuer issued expiry level")

# Words of columns that are somebody else's.
OTHER_PARTIES = _names(
    "employer company business org organisation organization spouse emergency parent "
    "guardian mother father kin agent billing_company merchant store branch native "
    "secondary institution school hospital"
)

# Words of columns that are about the record, not about the person.
NOT_PERSONAL = _names(
    "created updated modified date timestamp time at status amount price total category "
    "tags inserted loaded version year month survey event type count balance score form"
)

# What a test set calls its answers, and what groups people.
ANSWERS = _names(
    "truth cluster label entity household noise trap duplicate is_duplicate match ismatch "
    "gold rel test testgroup dup"
)


def words(header: str) -> frozenset[str]:
    """Return the words of a header, lower case: 'Soc_SecID' is soc, sec, id."""
    spaced = re.sub(r"([a-z0-9])([A-Z])", r"\1 \2", header)
    return frozenset(re.findall(r"[^\W_]+", spaced.lower()))
