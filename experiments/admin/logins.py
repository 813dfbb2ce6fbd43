"""Login attempts: account, address and result."""

from django.contrib import admin

from experiments.admin.base import PageAdmin, ReadOnly
from experiments.models import LoginAttempt


@admin.register(LoginAttempt)
class LoginAttemptAdmin(ReadOnly, PageAdmin):
    list_display = ["at", "who", "address", "result"]
    list_filter = ["result", "at"]
    search_fields = ["username", "address"]
    show_full_result_count = False

    @admin.display(description="account", ordering="username")
    def who(self, row: LoginAttempt) -> str:
        return row.username or "unknown name"
