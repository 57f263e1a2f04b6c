"""Plans: goal, steps, window, guardrails, who agreed; calendar and preflight."""

from tillkeeper.maintenance.plans.types import Guardrail, NoticeText, Overrun, Plan, Step, Window

__all__ = ["Guardrail", "NoticeText", "Overrun", "Plan", "Step", "Window"]
