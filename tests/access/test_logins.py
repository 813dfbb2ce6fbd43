"""Logins are throttled by account and address, and known addresses stay open."""

from datetime import UTC, datetime, timedelta
from threading import Barrier, Thread
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client

from experiments.access import logins
from experiments.access.logins import TooManyFailuresError, address_of, begin, succeed
from experiments.models import LoginAttempt

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
HOME, ELSEWHERE = "192.0.2.1", "198.51.100.7"
LOGIN = "/admin/login/"


def fail(times: int, username: str = "olga", address: str = HOME, at: datetime = NOW) -> int:
    """How many of these wrong attempts had their password checked."""
    passed = 0
    for _ in range(times):
        try:
            begin(username, address, at)
        except TooManyFailuresError:
            continue
        passed += 1
    return passed


def test_five_failures_and_no_more() -> None:
    assert fail(40) == 5


def test_upper_and_lower_case_are_one_account() -> None:
    assert [fail(4, "Olga"), fail(4, " olga ")] == [4, 1]


def test_other_accounts_and_addresses_are_open() -> None:
    fail(9)
    assert fail(1, "carl") == 1
    assert fail(1, "olga", ELSEWHERE) == 1


def test_an_address_takes_ten_times_as_many_over_all_accounts() -> None:
    assert sum(fail(3, f"user-{n}") for n in range(40)) == 50


def test_an_account_takes_four_times_as_many_from_everywhere() -> None:
    assert sum(fail(1, address=f"192.0.2.{n}") for n in range(40)) == 20


def test_the_owner_keeps_the_address_the_account_was_used_from() -> None:
    succeed(begin("olga", HOME, NOW - timedelta(days=2)))
    for n in range(40):
        fail(1, address=f"198.51.100.{n}")
    assert fail(1, address=HOME) == 1


def test_it_opens_again_when_the_failures_are_old() -> None:
    fail(5)
    fail(1, at=NOW + timedelta(minutes=10))
    with pytest.raises(TooManyFailuresError) as caught:
        begin("olga", HOME, NOW + timedelta(minutes=14))
    assert caught.value.retry_after == 60
    assert fail(1, at=NOW + timedelta(minutes=15, seconds=1)) == 1


def test_a_success_clears_the_failures_before_it() -> None:
    fail(4)
    succeed(begin("olga", HOME, NOW + timedelta(seconds=1)))
    assert fail(9, at=NOW + timedelta(seconds=2)) == 5


def test_no_limit(settings: Any) -> None:
    settings.LOGIN_FAILURES = 0
    assert fail(30) == 30


def test_an_unknown_name_is_not_stored() -> None:
    """A user may have typed a password into the wrong field."""
    User.objects.create_user("olga")
    fail(1, "my secret password")
    fail(1, "olga")
    assert set(LoginAttempt.objects.values_list("username", flat=True)) == {"", "olga"}


@pytest.mark.parametrize(
    ("proxies", "forwarded", "remote", "expected"),
    [
        (0, "", "192.0.2.1", "192.0.2.1"),
        (0, "203.0.113.5", "192.0.2.1", "192.0.2.1"),
        (1, "203.0.113.5", "10.0.0.1", "203.0.113.5"),
        (1, "1.1.1.1, 203.0.113.5", "10.0.0.1", "203.0.113.5"),
        (2, "203.0.113.5, 10.0.0.2", "10.0.0.1", "203.0.113.5"),
        (2, "", "10.0.0.1", "10.0.0.1"),
        (1, "not an address", "10.0.0.1", "unknown"),
        (0, "", "2001:db8:1:2:3::4", "2001:db8:1:2::/64"),
        (0, "", "::ffff:192.0.2.1", "192.0.2.1"),
    ],
)
def test_address_of_an_attempt(
    proxies: int, forwarded: str, remote: str, expected: str, settings: Any
) -> None:
    settings.PROXY_COUNT = proxies
    meta = {"REMOTE_ADDR": remote, "HTTP_X_FORWARDED_FOR": forwarded}
    assert address_of(meta) == expected


@pytest.mark.django_db(transaction=True)
def test_many_at_once_cannot_pass_together() -> None:
    if connection.vendor == "sqlite":
        pytest.skip("The tests' SQLite is in memory, where threads cannot wait for each other.")
    passed: list[int] = []
    barrier = Barrier(8)

    def attempt() -> None:
        try:
            barrier.wait(10)
            passed.append(fail(3))
        finally:
            connection.close()

    threads = [Thread(target=attempt) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sum(passed) <= 5


class TestLoginPage:
    @pytest.fixture
    def olga(self, seeded: None) -> Client:
        User.objects.create_user("olga", password="right password", is_staff=True)
        return Client()

    def log_in(self, client: Client, password: str) -> Any:
        return client.post(LOGIN, {"username": "olga", "password": password})

    def test_the_sixth_is_refused_even_with_the_right_password(
        self, olga: Client, caplog: pytest.LogCaptureFixture
    ) -> None:
        codes = [self.log_in(olga, "wrong").status_code for _ in range(5)]
        assert codes == [200] * 5
        response = self.log_in(olga, "right password")
        assert response.status_code == 429
        assert 0 < int(response["Retry-After"]) <= 900
        assert "Too many failed logins. Try again in 15 minutes." in response.content.decode()
        logged = [record.getMessage() for record in caplog.records if "login" in record.name]
        assert logged == ["login failed"] * 5 + ["login refused"]

    def test_the_right_password_logs_in_and_is_logged(
        self, olga: Client, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level("INFO", "switchyard.login")
        assert self.log_in(olga, "right password").status_code == 302
        assert LoginAttempt.objects.get().result == "succeeded"
        assert "login succeeded" in caplog.text

    def test_attempts_are_shown_to_administrators_only(self, olga: Client) -> None:
        self.log_in(olga, "wrong")
        self.log_in(olga, "right password")
        assert olga.get("/admin/experiments/loginattempt/").status_code == 403
        User.objects.filter(username="olga").update(is_superuser=True)
        page = olga.get("/admin/experiments/loginattempt/").content.decode()
        assert "Wrong name or password" in page
        assert "127.0.0.1" in page


def test_old_attempts_are_deleted() -> None:
    fail(2)
    assert logins.prune(NOW) == 0
    assert logins.prune(NOW + timedelta(seconds=1)) == 2
