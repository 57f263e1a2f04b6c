"""Refusals: answers, not accidents. Each has a stable code, an HTTP status and a title; faces render RFC 9457 from it."""

from typing import Final

import msgspec

PROBLEMS: Final[dict[str, tuple[int, str]]] = {
    # the door
    "not_json": (400, "The body is not JSON"),
    "body_too_large": (413, "The body is too large"),
    "unauthenticated": (401, "No valid API key"),
    "key_expired": (401, "The API key has expired"),
    "forbidden": (403, "No policy allows this"),
    "address_refused": (403, "The API key is not for this address"),
    "not_found": (404, "Nothing is here"),
    "method_not_allowed": (405, "This address does not take that method"),
    "overloaded": (503, "Too many payments are waiting"),
    "unavailable": (503, "The database cannot be reached"),
    "under_maintenance": (503, "Nothing new is begun for a moment"),
    "internal": (500, "A fault of ours"),
    # the input
    "wrong_type": (422, "A field has the wrong type"),
    "missing_field": (422, "A field is missing"),
    "unknown_field": (422, "A field is not known"),
    "invalid_value": (422, "A field has a value that is not allowed"),
    "bad_id": (422, "An id has the wrong form"),
    "unknown_currency": (422, "The currency is not known"),
    "amount_not_positive": (422, "The amount must be positive"),
    "amount_too_large": (422, "The amount is too large"),
    "amount_not_integer": (422, "The amount must be an integer of minor units"),
    "card_number_refused": (422, "A text looks like a card number, which we never store"),
    "security_code_refused": (422, "A text looks like a card's security code or PIN, which we never store"),
    "personal_data_refused": (422, "A text holds somebody's phone or id number, which does not belong there"),
    "text_too_long": (422, "A text is too long"),
    "bad_cursor": (422, "The cursor is not one of ours"),
    "idempotency_key_missing": (400, "The Idempotency-Key header is missing"),
    "idempotency_key_invalid": (400, "The Idempotency-Key header cannot be used"),
    "idempotency_key_reused": (409, "The Idempotency-Key was used with another body"),
    # logins
    "unknown_login": (404, "There is no such login"),
    "login_not_asked": (409, "The login was not asked again"),
    "login_answered": (409, "The login has been answered"),
    # the flows
    "same_party": (422, "Payer and payee are the same"),
    "unknown_customer": (404, "There is no such customer"),
    "unknown_merchant": (404, "There is no such merchant"),
    "unknown_payment": (404, "There is no such payment"),
    "unknown_wallet": (422, "The owner has no wallet in this currency"),
    "unknown_qr": (404, "There is no such QR code"),
    "unknown_endpoint": (404, "There is no such webhook endpoint"),
    "unknown_delivery": (404, "There is no such webhook delivery"),
    "customer_frozen": (409, "The customer is frozen"),
    "customer_erased": (409, "The customer was erased"),
    "merchant_closed": (409, "The merchant is closed"),
    "wallet_exists": (409, "The owner has a wallet in this currency"),
    "too_many_wallets": (409, "The owner has as many wallets as allowed"),
    "reference_taken": (409, "The reference is in use"),
    "qr_expired": (409, "The QR code has expired"),
    "qr_paid": (409, "The QR code was already paid"),
    "qr_mismatch": (422, "The amount or currency differs from the QR code"),
    "wrong_state": (409, "The payment's state does not allow this"),
    "exceeds_captured": (409, "More than what is left of the payment"),
    "exceeds_hold": (409, "More than what is held"),
    "challenge_failed": (409, "The code is wrong"),
    "challenge_exhausted": (409, "Too many wrong codes"),
    "insufficient_funds": (409, "The balance does not suffice"),
    "daily_limit_exceeded": (409, "The daily limit does not allow this"),
    "denied_by_risk": (409, "Refused by a risk rule"),
    "refused_by_reviewer": (409, "Refused by a reviewer"),
    "rejected_by_bank": (409, "The bank said no"),
    "expired": (409, "Not answered in time"),
    "legal_hold": (409, "The customer is under legal hold"),
    "no_legal_hold": (409, "The customer is not under legal hold"),
    "money_in_wallets": (409, "There is money in the customer's wallets"),
    "payments_open": (409, "Payments of the customer are under way"),
    "not_given": (404, "The customer never gave that"),
    "too_many_lookups": (429, "Too many searches for people in a minute"),
    "webhook_url_refused": (422, "The address may not receive webhooks"),
    "too_many_endpoints": (409, "There are as many webhook endpoints as allowed"),
    "link_used": (401, "The sign-in link is used up or expired"),
    "session_ended": (401, "The session has ended"),
    # four eyes and purpose grants
    "approval_needed": (403, "A second person must agree first"),
    "approval_refused": (403, "A second person said no"),
    "approval_unknown": (404, "There is no such approval"),
    "approval_decided": (409, "The approval was decided before"),
    "approval_expired": (409, "The approval came too late"),
    "approval_changed": (409, "What was to be approved has changed"),
    "own_approval": (403, "Nobody approves what they asked for"),
    "too_many_approvals": (409, "As many questions wait as allowed"),
    "unknown_proposal": (404, "There is no such rule proposal"),
    "too_many_backtests": (409, "Too many backtests wait already"),
    "unknown_backtest": (404, "There is no such backtest"),
    "backtest_missing": (409, "The rules must be tried on history first"),
    "grant_ended": (403, "There is no such grant in force"),
    "grant_exhausted": (403, "The grant's rows are used up"),
    "sign_in_failed": (401, "That did not sign anybody in"),
    "too_many_tries": (429, "Too many tries that failed"),
    "sign_in_busy": (503, "Too many people are signing in"),
    "weak_password": (422, "The password is too easy to guess"),
    "too_many_passkeys": (409, "The person has as many passkeys as allowed"),
    "passkey_refused": (422, "The passkey could not be enrolled"),
    "not_fresh": (403, "The second factor was given too long ago"),
    "provider_failed": (502, "The identity provider did not vouch for anybody"),
    "wrong_code": (422, "The code is wrong"),
    "has_factors": (409, "The person has roles, or has set up how they sign in"),
    "not_here_yet": (409, "The person has not come in yet"),
    "two_admin_roles": (422, "Two roles that administer exclude each other"),
    "same_roles": (422, "Nothing would change"),
    "reason_missing": (422, "A reason is missing"),
    "unknown_person": (404, "There is no such person"),
    "person_exists": (409, "The handle is taken"),
    # alerts
    "unknown_alert": (404, "There is no such alert"),
    "wrong_alert_state": (409, "The alert's state does not allow this"),
    "unknown_silence": (404, "There is no such silence"),
    # maintenance plans
    "unknown_plan": (404, "There is no such plan"),
    "plan_mistaken": (422, "The plan cannot be carried out as it is written"),
    "plan_state": (409, "The plan's state does not allow this"),
    "plan_not_rehearsed": (409, "No rehearsal of exactly this plan has passed"),
    "plan_not_approved": (409, "Nobody has agreed to exactly this plan, or the agreement is over"),
    "too_many_plans": (409, "As many plans are open as allowed"),
    "unknown_freeze": (404, "There is no such freeze"),
    "not_oneself": (409, "Nobody does this to themselves"),
    # maintenance runs
    "unknown_run": (404, "There is no such run"),
    "run_state": (409, "The run's state does not allow this"),
    "run_open": (409, "Another run has not ended"),
    # reports of runs
    "unknown_report": (404, "There is no such report"),
    "report_reviewed": (409, "The report was reviewed before"),
    "unknown_task": (404, "There is no such task"),
    # early warning of risk
    "unknown_signal": (404, "There is no such signal"),
    "wrong_signal_state": (409, "The signal's state does not allow this"),
    # cases of risk
    "unknown_case": (404, "There is no such case"),
    "case_state": (409, "The case's state does not allow this"),
    "case_claimed": (409, "Somebody else works on the case"),
    "case_not_claimed": (409, "The case must be claimed first"),
    "case_open": (409, "The subject has another open case"),
    # models of risk
    "unknown_model": (404, "There is no such model"),
    "bad_model": (422, "The model cannot be used"),
    "model_role": (409, "The model's role does not allow this"),
    "too_many_challengers": (409, "Too many models challenge already"),
    "nothing_to_undo": (409, "There is nothing to undo"),
}


class Refusal(msgspec.Struct, frozen=True):
    """Why something was not done. `detail` says what to do about it; `field` names the input, if one is at fault.

    `approval` is the public id of the approval that is needed.
    """

    code: str
    detail: str = ""
    field: str | None = None
    approval: str | None = None

    @property
    def status(self) -> int:
        """The HTTP status of the code."""
        return PROBLEMS[self.code][0]

    @property
    def title(self) -> str:
        """The short English title of the code."""
        return PROBLEMS[self.code][1]


class Refused(Exception):  # noqa: N818 - the past tense of the value it carries
    """A refusal on its way to the face that renders it; inside the house refusals travel as values."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(f"{refusal.code}: {refusal.detail}")
        self.refusal = refusal


def refuse(code: str, detail: str = "", field: str | None = None) -> Refused:
    """A refusal ready to be raised, at an edge."""
    return Refused(Refusal(code, detail, field))
