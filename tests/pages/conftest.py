"""Readers of each role, logged in."""

import pytest
from django.contrib.auth.models import Group, User
from django.test import Client

from experiments.configuration.roles import OPERATOR, VIEWER


@pytest.fixture
def viewer(seeded: None) -> Client:
    user = User.objects.create_user("vera", password="a long password", is_staff=True)
    user.groups.add(Group.objects.get(name=VIEWER))
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def operator(seeded: None) -> Client:
    user = User.objects.create_user("otto", password="a long password", is_staff=True)
    user.groups.add(Group.objects.get(name=OPERATOR))
    client = Client()
    client.force_login(user)
    return client
