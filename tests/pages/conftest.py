"""Readers of each role, logged in, and the text of a page."""

import pytest
from django.contrib.auth.models import Group, User
from django.test import Client

from experiments.configuration.roles import OPERATOR, VIEWER


def _client(name: str, role: str) -> Client:
    user = User.objects.create_user(name, password="a long password", is_staff=True)
    user.groups.add(Group.objects.get(name=role))
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def viewer(seeded: None) -> Client:
    return _client("vera", VIEWER)


@pytest.fixture
def operator(seeded: None) -> Client:
    return _client("olga", OPERATOR)


def text(client: Client, address: str) -> str:
    response = client.get(address)
    assert response.status_code == 200
    return response.content.decode()
