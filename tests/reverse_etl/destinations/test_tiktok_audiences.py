"""TikTok: its published hashes, its schema, its codes behind a 200."""

import pytest

from reverse_etl.destinations import tiktok_audiences
from reverse_etl.members import sha256

# published: TikTok's help page "About Customer File audiences", normalised value → SHA-256. Its
# hash of a phone number is of the digits without the + (which it says is taken as well); the page
# on this endpoint asks for E.164, so that is what is sent
PUBLISHED = [
    (
        {"email": " JaneDoe@gmail.com"},
        "EMAIL_SHA256",
        "d6117306485ed0e50afab3ac871e98f81699151f30281527d63ff5f233656c69",
    ),
    (
        {"aaid": "5F3A2B18-9C4D-4E7F-B8E2-17D3A1E69B25"},
        "AAID_SHA256",
        "83dc3f5f32b9472613b0f038d36f22585a609d018af6f6067f50da318bf354bd",
    ),
]


@pytest.mark.parametrize(("fields", "kind", "hashed"), PUBLISHED)
def test_hashes_are_those_that_tiktok_publishes(fields, kind, hashed):
    assert sha256(tiktok_audiences.normalised(fields, None)[kind]) == hashed


@pytest.mark.parametrize(
    ("given", "plain"), [("(657) 777-0000", "+16577770000"), ("+374 93 828222", "+37493828222")]
)
def test_phones_are_e164(given, plain):
    assert tiktok_audiences.normalised({"phone": given}, "US")["PHONE_SHA256"] == plain
