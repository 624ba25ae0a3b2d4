"""Rules of the program, each with a change to the code that breaks it.

A change replaces a fragment of a file, however it is wrapped, or the value of a constant. The
simulation has to notice. What it does not see, because of what it leaves out, the named tests do.
"""

from typing import Final, NamedTuple


class Mutant(NamedTuple):
    """A rule that is broken.

    Attributes:
        rule: The rule.
        old: A fragment that stands in the file once, or the name of a constant.
        new: What to write instead.
        tests: Tests that notice. If there are none, the simulation has to.
    """

    rule: str
    old: str
    new: str
    tests: str = ""


KEYS: Final = "tests/start/test_keys.py"
STARTS: Final = "tests/start/test_start.py"
SELECTS: Final = "tests/start tests/select/test_select.py"
AWAITS: Final = "tests/test_aio.py"
ABORTS: Final = "tests/follow/test_abort.py"

MUTANTS: Final = {
    "_start/trigger.py": (
        Mutant("30 s of lookups", "QUIET", "0.0"),
        Mutant("three sends", "MAX_SENDS", "9"),
        Mutant("not one send", "MAX_SENDS", "1"),
        Mutant("a run that commits late is found after the last send", "LAST_QUIET", "5.0"),
        Mutant("a lost answer is looked up", "if error.may_have_acted:", "if False:"),
        Mutant("lookups count from the first list", "end = math.inf", "end = self.io.now() + seconds"),
        Mutant("earlier runs are known", "if run.id not in self.known]", "]"),
        Mutant("an unclear list is not an empty one", "if found.is_unclear else None", "if False else None"),
        Mutant("an answer is about the job", "run.job_id != self.order.job_id or", "", STARTS),
        Mutant("an answer is about a new run", "is_new = run.in_progress and run.id not in self.known", "is_new = True"),
        Mutant("a lookup before each send after a lost one", "if order.is_ambiguous:", "if order.is_ambiguous and (is_over or error.may_have_acted):"),
        Mutant("a refusal after a lost answer proves nothing", "if is_over and not order.is_ambiguous:", "if is_over:"),
        Mutant("a rate limit is retried", "is_over = not error.is_transient or", "is_over = True or"),
        Mutant("an outage is waited for while looking up", "policy = RetryPolicy(self.outage_timeout, refusal=60.0, garbage=60.0)", "policy = RetryPolicy(0.0)"),
    ),
    "_start/__init__.py": (
        Mutant("a load's run is looked for first", "(order.is_shared or order.reuse_queued)", "order.reuse_queued"),
        Mutant("an unclear list hides the load's run", "if order.is_shared and found.is_unclear:", "if False:"),
        Mutant("only live runs do", "if run.in_progress or run.is_success]", "]"),
        Mutant("without a search nothing is triggered", "refuse(api, order, error)", "raise error"),
        Mutant("an outage is waited for before the first send", "order, RetryPolicy(outage_timeout))", "order, RetryPolicy(0.0))"),
        Mutant("a run to reuse is read", "if await is_queued(io, api, run):", "if True:"),
        Mutant("other overrides of a key are refused", "check_overrides(api, order, run)", "pass", KEYS),
        Mutant("a load that has its run asks no destination", "if run is None and order.narrowing:", "if order.narrowing:", SELECTS),
    ),
    "_start/duplicates.py": (
        Mutant("the oldest is followed", "follow = min(", "follow = max("),
        Mutant("what the list does not show yet may be the oldest", "if not current.is_cancelled:", "if False:", STARTS),
        Mutant("a cancelled run is left for a live one", "if not current.is_cancelled:", "if True:", STARTS),
        Mutant("younger ones are cancelled", "is_settled &= await _cancel(io, api, run, follow)", "pass"),
        Mutant("only queued ones are cancelled", "if run.is_queued:", "if run.in_progress:", KEYS),
        Mutant("a failed run of a load is no reason to cancel a new one", "if order.is_shared and (current.is_error or current.is_timed_out):", "if False:", STARTS),
        Mutant("callers that queue at one moment share", "found.runs.values() if current.is_queued else ()", "()"),
        Mutant("a look that fails does not end the call", "return followed, False", "raise"),
        Mutant("a queued run that can't be read is not reused", "except DBTCloudAPIException: return False", "except DBTCloudAPIException:\n        raise"),
        Mutant("a duplicate with other overrides is refused", "check_overrides(api, order, follow)", "pass", KEYS),
    ),
    "_start/search.py": (
        Mutant("all pages are read", "is_last = not has_new or", "is_last = True or"),
        Mutant("order_by is not trusted", "since and ids == sorted(ids, reverse=True) and ids[0] > ids[-1]:", "since:"),
        Mutant("a list without a total ends", "is_last = not has_new or", "is_last ="),
        Mutant("a cause that does not show is unclear", "any(order.owns(run) is None for run in recent)", "False"),
        Mutant("old runs are not the load's", "SLACK", "timedelta(days=-1)"),
        Mutant("the window of a key ends", "timedelta(seconds=min(order.window, YEAR))", "timedelta(seconds=YEAR)", KEYS),
        Mutant("the window of a key is as long as it says", "timedelta(seconds=min(order.window, YEAR))", "timedelta(seconds=60)", KEYS),
        Mutant("a retry belongs to the run that it continues", "or retried in own", "", "tests/test_jobs.py"),
    ),
    "_start/order.py": (
        Mutant("the tag comes first", 'f"[{tag}] {cause.strip()}"', 'f"{cause.strip()} [{tag}]"'),
        Mutant("what doesn't show is not another's", "return self.tag in cause if isinstance(cause, str) else None", "return isinstance(cause, str) and self.tag in cause"),
        Mutant("a retry is newer than the run that it continues", "if run.id <= self.failed_id: return False", "", STARTS),
        Mutant("only queued runs are reused", "return is_of_job and run.is_queued and", "return is_of_job and run.in_progress and"),
        Mutant("a call that reuses looks for others", "or self.is_ambiguous or self.reuse_queued", "or self.is_ambiguous"),
        Mutant("a load looks for others", "return self.is_shared or", "return"),
        Mutant("an ambiguous call looks for others", "or self.is_ambiguous or", "or"),
        Mutant("runs with other overrides are not reused", "builds in (overrides(self.request), narrowed)", "True", STARTS),
        Mutant("other overrides of a key have another tag", "self.tag + self.variant in cause:", "True:", KEYS),
    ),
    "_start/engines.py": (
        Mutant("`auto` takes the key of the engine", "if run_key != AUTO:", "if True:", KEYS),
        Mutant("white space is no key", '(run_key or "").strip()', "run_key", KEYS),
        Mutant("all variables of an engine must be set", "if all(", "if any(", KEYS),
    ),
    "_start/select_coverage.py": (
        Mutant("only runs at the same place count", "or place_of(trigger) != place_of(request):", "or False:", SELECTS),
        Mutant("a full run had the steps of the job", 'and overrides(trigger).get("steps_override") == steps:', ":", SELECTS),
        Mutant("a retry is no full run", "if is_retry: continue", "", SELECTS),
        Mutant("only runs that succeeded cover loads", "run.id not in past.finished or", "", SELECTS),
        Mutant("a run of other steps covers nothing", "or not _is_narrowed(run, steps)", "", SELECTS),
        Mutant("clocks differ by hours", "created_at - CLOCK_SKEW or", "created_at or", SELECTS),
        Mutant("clocks of two pipelines differ", "CLOCK_SKEW * (load.schema_name != known.schema_name)", "CLOCK_SKEW * 0", SELECTS),
        Mutant("another version of the project builds everything", "if len(shas) > 1:", "if False:", SELECTS),
    ),
    "_call/__init__.py": (
        Mutant("a key is an identity", "window=window, is_shared=True)", "window=window)", KEYS),
        Mutant("a load is an identity", "since=load.since(), is_shared=True)", "since=load.since())"),
        Mutant("a key beats the load", "if key := key_of(config.run_key):", "if (key := key_of(config.run_key)) and not load:", KEYS),
    ),
    "_follow/shared.py": (
        Mutant("polls at one moment share a list", "if len(ids) == 1:", "if True:", AWAITS),
        Mutant("a run that no list shows is read alone", "if run:", "if run or True:", AWAITS),
        Mutant("waits for many share their lists", "self._wanted.update(run_ids)", "self._wanted = set(run_ids)", AWAITS),
        Mutant("a cancelled call leaves the others their poll", "asyncio.shield(self._listing)", "self._listing", AWAITS),
    ),
    "_follow/schedule.py": (
        Mutant("looks continue while following", "return next(later, waited + 2 * LOOKS[-1])", "return 1e9"),
        Mutant("looks begin with the wait", "LOOKS", "(0.0, 900.0)"),
        Mutant("wait_seconds is the longest interval", "min(interval, wait_seconds)", "min(interval, 3 * wait_seconds)"),
        Mutant("polls grow rarer", "interval = max(1.0, waited / 17)", "interval = 1.0"),
        Mutant("polls of a young run are dense", "interval = max(1.0, waited / 17)", "interval = wait_seconds"),
    ),
    "_follow/wait.py": (
        Mutant("the end is the end", "while run.in_progress:", "while run.status == 3 or run.is_queued:"),
        Mutant("the deadline is checked", "if runs and io.now() >= self.deadline:", "if False:"),
        Mutant("the status is read once more", "run = await self.last_io.call(read, run.id, include_related=related)", "pass"),
        Mutant("calls end at the deadline", "io.until(limits.deadline)", "io.until(limits.deadline + 60)"),
        Mutant("a refusal is retried for a minute", "REFUSAL_GRACE", "5.0"),
        Mutant("an outage is retried", "RetryPolicy(self.outage_timeout,", "RetryPolicy(self.outage_timeout / 10,"),
        Mutant("garbage is retried", "garbage=self.outage_timeout)", "garbage=0.0)"),
        Mutant("a cancelled run may have an older twin", "CANCELLED_PAUSES", "(0.0, 1.0)"),
        Mutant("a last look when the run has finished", "if is_over else run", "if False else run", KEYS),
        Mutant("a look that failed comes again soon", "if not is_settled:", "if False:", STARTS),
    ),
    "_follow/first.py": (
        Mutant("a new run may not be found at once", "return run_id in ids or run_id > max(ids, default=0)", "return False"),
        Mutant("a list of many may bring others", "for run in page.items if run.id in chunk}", "for run in page.items}", "tests/follow/test_follow.py"),
    ),
    "_follow/many.py": (
        Mutant("a run of many that is lost is read alone", "for run_id in waiting:", "for run_id in ():"),
        Mutant("a vanished run is given up", "self.errors[run_id] = error", "pass"),
    ),
    "_follow/abort.py": (
        Mutant("cancelling is brief", "io.last(MAX_SECONDS)", "io.last(60.0)"),
        Mutant("cancelling ignores the abort", "io.last(MAX_SECONDS)", "io"),
        Mutant("only who wants it cancels", "if cancel_on_abort and (", "if ("),
        Mutant("an unanswered trigger is cancelled too", "if run is None and watch.order:", "if False:", ABORTS),
        Mutant("cancelling is tried again", "for _ in range(round(MAX_SECONDS / PAUSE)):", "for _ in range(1):", "tests/test_jobs.py"),
        Mutant("a second signal leaves the last word", "finally:", "except Exception:\n            raise\n        else:"),
    ),
    "_follow/watch.py": (
        Mutant("runs of others are not cancelled", "self.is_own = run.id not in order.covering", "self.is_own = True", STARTS),
        Mutant("a run that may exist is told of", "if run is None and order is not None and order.is_open:", "if False:"),
        Mutant("a finished run is not in progress", "if run is not None and run.in_progress:", "if run is not None:"),
    ),
    "_io/retry.py": (
        Mutant("nothing is retried without end", "if left <= 0: raise", "if left <= -1e6:\n                raise", "tests/follow/test_wait.py"),
    ),
    "_report/__init__.py": (
        Mutant("a reading that lags does not take the outcome back", "run = related if related.status == run.status else run", "run = related"),
        Mutant("trouble with details is no error", "except DBTCloudAPIException as error: logger.warning(", "except ZeroDivisionError as error:\n        logger.warning("),
    ),
}  # fmt: skip
