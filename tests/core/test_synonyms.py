from dataclasses import fields

from rlgen.catalog import CATALOG
from rlgen.core.settings import Plan, Setup
from rlgen.core.synonyms import SYNONYMS


def settings():
    classes = {*(entry.config for entry in CATALOG.values()), Setup, Plan}
    return {field.name for each in classes for field in fields(each)}


def test_every_synonym_leads_to_a_setting_that_exists():
    assert {name: here for name, here in SYNONYMS.items() if not set(here) <= settings()} == {}


def test_no_setting_is_a_synonym_of_itself():
    assert {name for name, here in SYNONYMS.items() if name in here} == set()
