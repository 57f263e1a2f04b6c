"""The console's sections as the side shows them: grouped by whose work they are, each only for who may see it."""

from typing import Final, NamedTuple


class Section(NamedTuple):
    """One entry. `name`: its words and picture; `action`: what its page takes."""

    name: str
    action: str

    @property
    def path(self) -> str:
        """The first part of its addresses."""
        return "" if self.name == "overview" else self.name


MENU: Final = (
    ("", (Section("overview", "overview.view"),)),
    (
        "money",
        (
            Section("payments", "payment.view"),
            Section("held", "held.view"),
            Section("customers", "customer.view"),
            Section("merchants", "merchant.view"),
        ),
    ),
    (
        "risk",
        (
            Section("risk", "risk.view"),
            Section("cases", "case.view"),
            Section("signals", "risk.view"),
            Section("logins", "login.view"),
            Section("rules", "rules.view"),
            Section("models", "risk.view"),
        ),
    ),
    (
        "control",
        (
            Section("approvals", "approval.view"),
            Section("grants", "grant.view"),
            Section("staff", "people.view"),
            Section("audit", "audit.view"),
        ),
    ),
    (
        "platform",
        (
            Section("monitoring", "monitoring.view"),
            Section("alerts", "alert.view"),
            Section("plans", "plan.view"),
            Section("runs", "run.view"),
            Section("reports", "report.view"),
            Section("backups", "backup.view"),
        ),
    ),
)
"""Groups from the top, each with its sections; the first has no name."""
