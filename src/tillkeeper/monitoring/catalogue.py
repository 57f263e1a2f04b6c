"""Everything that is measured, declared once: what it is called, its unit and its words. What is not here cannot be recorded.

A metric's name here is its name in the database and in docs/reference/metrics.md; for Prometheus it is `till_` and the same
with underscores. A measure is a gauge that guardrails, objectives and alerts may ask for by name.
"""

from collections.abc import Mapping
from typing import Final

from tillkeeper.base import limits
from tillkeeper.monitoring.types import Kind, Measure, Metric

MEASURES: Final[Mapping[str, Measure]] = {
    "payments.success_rate": Measure(
        "percent",
        "higher",
        {
            "en": "Orders not failed by fault of ours; a decline is an answer",
            "zh-CN": "未因我方故障失败的订单；拒绝也是回答",
        },
        least=20,
    ),
    "payments.error_rate": Measure(
        "percent", "lower", {"en": "Answers 500 and above", "zh-CN": "500 及以上的应答"}, least=20
    ),
    "payments.rate": Measure(
        "per second", "higher", {"en": "Orders carried through", "zh-CN": "已处理的订单"}, least=1
    ),
    "payments.latency_p50_ms": Measure(
        "ms", "lower", {"en": "Time to the answer, median", "zh-CN": "应答用时，中位数"}, least=20
    ),
    "payments.latency_p99_ms": Measure(
        "ms", "lower", {"en": "Time to the answer, 99 of 100", "zh-CN": "应答用时，99 分位"}, least=20
    ),
    "payments.queueing_p99_ms": Measure(
        "ms", "lower", {"en": "Waiting for a turn, 99 of 100", "zh-CN": "等待轮次，99 分位"}, least=20
    ),
    "payments.held_seconds": Measure(
        "seconds",
        "lower",
        {"en": "The longest wait for a person's verdict", "zh-CN": "等待人工审核的最长时间"},
    ),
    "risk.decision_rate": Measure(
        "percent", "higher", {"en": "Payments that got a decision of risk", "zh-CN": "得到风控决定的支付"}
    ),
    "risk.faults": Measure(
        "faults",
        "lower",
        {"en": "What risk was told to put in force and could not", "zh-CN": "风控未能启用的内容"},
    ),
    "risk.profiles_lag_seconds": Measure(
        "seconds",
        "lower",
        {
            "en": "Age of the oldest label that profiles have not learnt",
            "zh-CN": "画像尚未学习的最早标签的时长",
        },
    ),
    "risk.watch_lag_seconds": Measure(
        "seconds",
        "lower",
        {"en": "Since early warning was last at the present", "zh-CN": "风险预警距上次追上当前的时间"},
    ),
    "risk.cases_late": Measure(
        "cases", "lower", {"en": "Cases that nobody decided in time", "zh-CN": "未按时裁定的案件"}
    ),
    "rails.unanswered_seconds": Measure(
        "seconds",
        "lower",
        {"en": "The longest wait for a bank's final word", "zh-CN": "等待银行最终答复的最长时间"},
    ),
    "outbox.lag_seconds": Measure(
        "seconds", "lower", {"en": "Age of the oldest news not passed on", "zh-CN": "最早未转发消息的时长"}
    ),
    "webhooks.failure_rate": Measure(
        "percent", "lower", {"en": "Webhook messages that failed", "zh-CN": "失败的 Webhook 消息"}
    ),
    "seal.lag_seconds": Measure(
        "seconds", "lower", {"en": "Age of the oldest unsealed event", "zh-CN": "最早未封存事件的时长"}
    ),
    "postgres.lock_waits": Measure(
        "sessions", "lower", {"en": "Sessions that wait for a lock", "zh-CN": "等待锁的会话"}
    ),
    "postgres.connections_used": Measure(
        "percent", "lower", {"en": "Connections in use", "zh-CN": "已用连接"}
    ),
    "postgres.longest_transaction_seconds": Measure(
        "seconds", "lower", {"en": "Age of the oldest transaction", "zh-CN": "最久的事务"}
    ),
    "disk.free_bytes": Measure("bytes", "higher", {"en": "Free disk space", "zh-CN": "磁盘剩余空间"}),
    "disk.hours_left": Measure(
        "hours",
        "higher",
        {"en": "Until the disk is full, as it fills now", "zh-CN": "按当前速度磁盘写满前的时间"},
    ),
    "wal.waiting_bytes": Measure(
        "bytes", "lower", {"en": "Write-ahead log not yet archived", "zh-CN": "尚未归档的 WAL"}
    ),
    "backup.age_seconds": Measure(
        "seconds", "lower", {"en": "Age of the newest backup", "zh-CN": "最新备份的时长"}
    ),
    "drill.age_seconds": Measure(
        "seconds",
        "lower",
        {"en": "Age of the newest passed restore drill", "zh-CN": "最近一次通过的恢复演练的时长"},
    ),
    "money.faults": Measure(
        "faults", "lower", {"en": "Faults found in the books", "zh-CN": "账簿中发现的错误"}
    ),
}
"""By name: unit, what is better, words."""


def _of(
    name: str,
    kind: Kind,
    unit: str,
    en: str,
    zh: str,
    *labels: str,
    every: float = limits.SAMPLE_SECONDS,
) -> Metric:
    return Metric(name, kind, unit, {"en": en, "zh-CN": zh}, labels, every)


# fmt: off
_OTHERS: Final = (
    # every process of itself
    _of("process.cpu_percent", "gauge", "percent", "CPU of the process, 100 is one core", "进程 CPU，100 为一个核", "process", "host"),
    _of("process.memory_bytes", "gauge", "bytes", "Memory of the process (resident)", "进程常驻内存", "process", "host"),
    _of("process.loop_lag_ms", "gauge", "ms", "The event loop's longest delay since the sample before", "自上次采样以来事件循环的最长延迟", "process", "host"),
    _of("statement.calls", "counter", "calls", "Calls of a named statement; the 25 that cost most are kept", "具名语句的调用次数；只保留开销最大的 25 条", "process", "host", "statement", every=limits.SAMPLE_SLOW_SECONDS),
    _of("statement.seconds", "counter", "seconds", "Time waited for it: that of the round trip which a fetch waits for", "等待该语句的时间：即取结果所等的那次往返", "process", "host", "statement", every=limits.SAMPLE_SLOW_SECONDS),
    _of("statement.mean_ms", "gauge", "ms", "Its mean since the sample before", "自上次采样以来的平均用时", "process", "host", "statement", every=limits.SAMPLE_SLOW_SECONDS),
    _of("statement.p95_ms", "gauge", "ms", "What 95 of 100 calls did not exceed, since the sample before", "自上次采样以来的 95 分位用时", "process", "host", "statement", every=limits.SAMPLE_SLOW_SECONDS),
    # the api
    _of("payments.asked", "counter", "orders", "Orders answered", "已应答的订单"),
    _of("payments.failed", "counter", "orders", "Orders failed by fault of ours", "因我方故障失败的订单"),
    _of("payments.outcomes", "counter", "commands", "What became of commands in the turn", "轮次中命令的结果", "outcome"),
    _of("payments.turns", "counter", "turns", "Turns", "轮次"),
    _of("payments.turn_size", "gauge", "commands", "Commands in a turn, mean since the sample before", "自上次采样以来每轮次的平均命令数"),
    _of("payments.latency", "counter", "commands", "Commands by time from arrival to durable answer (`le`: up to so many seconds)", "按到达至持久应答用时统计的命令数", "le"),
    _of("payments.latency_seconds", "counter", "seconds", "Those times in all", "上述用时合计"),
    _of("payments.queueing", "counter", "commands", "Commands by time from arrival to their turn (`le`: up to so many seconds)", "按到达至轮次开始用时统计的命令数", "le"),
    _of("payments.queueing_seconds", "counter", "seconds", "Those times in all", "上述用时合计"),
    _of("api.answers", "counter", "answers", "Answers of the API by class of status", "按状态类别统计的 API 应答", "class"),
    _of("risk.decisions", "counter", "decisions", "Decisions of risk", "风控决定", "outcome"),
    _of("risk.rule_hits", "counter", "hits", "Rules that hit", "规则命中", "rule"),
    _of("risk.features_filling", "gauge", "features", "Features that are still filled from history", "正在由历史回填的特征数"),
    _of("risk.signals_open", "gauge", "signals", "Signals of early warning that last", "持续中的预警信号"),
    _of("risk.alerts_day", "gauge", "alerts", "Alerts of risk within 24 hours: queued, and below the budget", "24 小时内的风险告警：已排队与预算之外", "rank"),
    _of("risk.cases_open", "gauge", "cases", "Open cases of risk, counted up to 1,000", "未结的风险案件，最多计到 1,000"),
    # the platform
    _of("payments.held", "gauge", "payments", "Payments that wait for a person", "等待人工审核的支付"),
    _of("rails.unanswered", "gauge", "attempts", "Attempts that wait for a bank", "等待银行答复的请求", "currency"),
    _of("money.on_the_way", "gauge", "minor units", "Money that waits for a bank: what clearing accounts are elsewhere; it should come to 0", "等待银行答复的金额（相当于清算账户），应归零", "currency"),
    _of("outbox.waiting", "gauge", "news", "News not passed on, counted up to 10,000", "未转发的消息，最多计到 10,000"),
    _of("webhooks.waiting", "gauge", "messages", "Webhook messages that wait, counted up to 10,000", "等待发送的 Webhook 消息，最多计到 10,000"),
    _of("retention.rows", "counter", "rows", "Rows deleted because they are past their time", "因超期而删除的行数", "table", every=limits.SAMPLE_SLOW_SECONDS),
    _of("seal.waiting", "gauge", "events", "Audit events not yet sealed", "尚未封存的审计事件"),
    # money
    _of("money.net", "gauge", "minor units", "Credits less debits: 0, always", "贷方减借方：恒为 0", "currency"),
    _of("money.accounts_below", "gauge", "accounts", "Accounts below their lower limit", "低于下限的账户"),
    _of("money.fault", "gauge", "faults", "Faults in the books by kind", "按种类统计的账簿错误", "code"),
    _of("money.fault_amount", "gauge", "minor units", "What they come to", "错误金额合计", "code"),
    _of("money.look_ms", "gauge", "ms", "How long the last look at the books took", "最近一次核对账簿的用时"),
    # PostgreSQL
    _of("postgres.connections", "gauge", "connections", "Connections in use", "已用连接"),
    _of("postgres.commits", "counter", "transactions", "Transactions committed", "已提交的事务"),
    _of("postgres.rollbacks", "counter", "transactions", "Transactions rolled back", "已回滚的事务"),
    _of("postgres.deadlocks", "counter", "deadlocks", "Deadlocks", "死锁"),
    _of("postgres.temporary_bytes", "counter", "bytes", "Temporary files written", "写入的临时文件"),
    _of("postgres.cache_hit_percent", "gauge", "percent", "Blocks found in shared memory, since the sample before", "自上次采样以来共享缓存命中率"),
    _of("postgres.wal_bytes", "counter", "bytes", "Write-ahead log written", "写入的 WAL"),
    _of("postgres.wal_kept_bytes", "gauge", "bytes", "Write-ahead log on the server's disk", "服务器磁盘上的 WAL"),
    _of("postgres.checkpoints", "counter", "checkpoints", "Checkpoints", "检查点"),
    _of("postgres.checkpoint_seconds", "counter", "seconds", "Time spent writing in checkpoints", "检查点写入用时"),
    _of("postgres.database_bytes", "gauge", "bytes", "Size of the database", "数据库大小", every=limits.SAMPLE_SLOW_SECONDS),
    _of("postgres.table_bytes", "gauge", "bytes", "Size of a table; the 12 largest", "表大小，最大的 12 张", "table", every=limits.SAMPLE_SLOW_SECONDS),
    _of("postgres.index_bytes", "gauge", "bytes", "Size of its indexes", "其索引大小", "table", every=limits.SAMPLE_SLOW_SECONDS),
    _of("postgres.dead_rows", "gauge", "rows", "Its dead rows", "其死行数", "table", every=limits.SAMPLE_SLOW_SECONDS),
)
# fmt: on

METRICS: Final[Mapping[str, Metric]] = {
    name: Metric(name, "gauge", each.unit, each.words) for name, each in MEASURES.items()
} | {each.name: each for each in _OTHERS}
"""By name: all of them, the measures first."""

COUNTERS: Final = tuple(name for name, each in METRICS.items() if each.kind == "counter")
