"""Reports: what a run did to the money, the customers and the machine; signed."""

from tillkeeper.maintenance.reports.keeping import (
    COUNTED,
    PREFIX,
    TASK_PREFIX,
    count_unreviewed,
    file_of,
    find,
    find_task,
    finish_task,
    listed,
    open_tasks,
    plan_task,
    review,
    tasks_of,
)
from tillkeeper.maintenance.reports.page import LANGUAGES, Words, draw, style, summary
from tillkeeper.maintenance.reports.signing import Verdict, document_of, verify
from tillkeeper.maintenance.reports.types import Document, Listed, Review, Task
from tillkeeper.maintenance.reports.writer import UnsignedError, Writer, folder_of, ring_in

__all__ = [
    "COUNTED",
    "LANGUAGES",
    "PREFIX",
    "TASK_PREFIX",
    "Document",
    "Listed",
    "Review",
    "Task",
    "UnsignedError",
    "Verdict",
    "Words",
    "Writer",
    "count_unreviewed",
    "document_of",
    "draw",
    "file_of",
    "find",
    "find_task",
    "finish_task",
    "folder_of",
    "listed",
    "open_tasks",
    "plan_task",
    "review",
    "ring_in",
    "style",
    "summary",
    "tasks_of",
    "verify",
]
