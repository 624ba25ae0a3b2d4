"""The rules of the program, each with a text that breaks it."""

from typing import NamedTuple


class Mutant(NamedTuple):
    """A rule that is broken."""

    rule: str
    file: str
    old: str
    new: str


MUTANTS = (
    # _start/trigger.py
    Mutant("30 s of looking", "_start/trigger.py", "QUIET: Final = 30.0", "QUIET: Final = 0.0"),
    Mutant("three sends", "_start/trigger.py", "MAX_SENDS: Final = 3", "MAX_SENDS: Final = 9"),
    Mutant("not one send", "_start/trigger.py", "MAX_SENDS: Final = 3", "MAX_SENDS: Final = 1"),
    Mutant(
        "a run that commits late is found after the last send",
        "_start/trigger.py",
        "LAST_QUIET: Final = 65.0",
        "LAST_QUIET: Final = 5.0",
    ),
    Mutant(
        "a lost answer is looked for",
        "_start/trigger.py",
        "if error.may_have_acted:",
        "if False:",
    ),
    Mutant(
        "looking begins with the first list",
        "_start/trigger.py",
        "end = math.inf  # counts",
        "end = self.io.now() + seconds  # counts",
    ),
    Mutant(
        "earlier runs are known",
        "_start/trigger.py",
        "own = [run for run in found.own if run.id not in self.known]",
        "own = found.own",
    ),
    Mutant(
        "an unclear list is not an empty one",
        "_start/trigger.py",
        "return self._give_up(error) if found.is_unclear else None",
        "return None",
    ),
    Mutant(
        "an answer is about the job",
        "_start/trigger.py",
        "run.job_id != self.order.job_id or not is_new",
        "not is_new",
    ),
    Mutant(
        "an answer is about a new run",
        "_start/trigger.py",
        "is_new = run.in_progress and run.id not in self.known",
        "is_new = True",
    ),
    Mutant(
        "an answer without a cause is looked after",
        "_start/trigger.py",
        "self.order.is_ambiguous |= is_own is None",
        "pass",
    ),
    Mutant(
        "a look before each send after a lost one",
        "_start/trigger.py",
        "                if order.is_ambiguous:\n",
        "                if order.is_ambiguous and (is_over or error.may_have_acted):\n",
    ),
    Mutant(
        "a refusal after a lost answer proves nothing",
        "_start/trigger.py",
        "if is_over and not order.is_ambiguous:",
        "if is_over:",
    ),
    Mutant(
        "a rate limit is retried",
        "_start/trigger.py",
        "is_over = not error.is_transient or",
        "is_over = True or",
    ),
    Mutant(
        "an outage is waited for while looking",
        "_start/trigger.py",
        "patience = Patience(self.outage_timeout, refusal=60.0, garbage=60.0)",
        "patience = Patience(0.0)",
    ),
    # _start/__init__.py
    Mutant(
        "a load's run is looked for first",
        "_start/__init__.py",
        "if order.is_shared or order.reuse_queued:",
        "if order.reuse_queued:",
    ),
    Mutant(
        "an unclear list hides the load's run",
        "_start/__init__.py",
        "if order.is_shared and found.is_unclear:",
        "if False:",
    ),
    Mutant(
        "only live runs do",
        "_start/__init__.py",
        "if run.in_progress or run.is_success]",
        "]",
    ),
    Mutant(
        "a search that fails is not triggered",
        "_start/__init__.py",
        "refuse(api, order, error)",
        "raise error",
    ),
    Mutant(
        "an outage is waited for before the first send",
        "_start/__init__.py",
        "found = await search(io, api, order, Patience(outage_timeout))",
        "found = await search(io, api, order, Patience(0.0))",
    ),
    Mutant(
        "a run to reuse is read",
        "_start/__init__.py",
        "if await is_queued(io, api, run):",
        "if True:",
    ),
    # _start/duplicates.py
    Mutant(
        "the oldest is followed",
        "_start/duplicates.py",
        "follow = min([*runs.values(), *reusable]",
        "follow = max([*runs.values(), *reusable]",
    ),
    Mutant(
        "what the list does not show yet may be the oldest",
        "_start/duplicates.py",
        "    if not current.is_cancelled:\n",
        "    if False:\n",
    ),
    Mutant(
        "a cancelled run is left for a live one",
        "_start/duplicates.py",
        "    if not current.is_cancelled:\n",
        "    if True:\n",
    ),
    Mutant(
        "younger ones are cancelled",
        "_start/duplicates.py",
        "is_settled &= await _cancel(io, api, run, follow)",
        "pass",
    ),
    Mutant(
        "only queued ones are cancelled",
        "_start/duplicates.py",
        "        if run.is_queued:\n",
        "        if run.in_progress:\n",
    ),
    Mutant(
        "a failed run of a load is no reason to cancel a new one",
        "_start/duplicates.py",
        "if order.is_shared and (current.is_error or current.is_timed_out):",
        "if False:",
    ),
    Mutant(
        "callers that queue at one moment share",
        "_start/duplicates.py",
        "found.runs.values() if current.is_queued else ()",
        "()",
    ),
    Mutant(
        "a look that fails does not end the call",
        "_start/duplicates.py",
        "        return followed, False\n",
        "        raise\n",
    ),
    Mutant(
        "a queued run that can't be read is not reused",
        "_start/duplicates.py",
        "    except DBTCloudAPIException:\n        return False\n",
        "    except DBTCloudAPIException:\n        raise\n",
    ),
    # _start/search.py
    Mutant(
        "all pages are read",
        "_start/search.py",
        "is_last = not has_new or",
        "is_last = True or",
    ),
    Mutant(
        "order_by is not trusted",
        "_start/search.py",
        "since and ids == sorted(ids, reverse=True) and ids[0] > ids[-1]:",
        "since:",
    ),
    Mutant(
        "a list without a total ends",
        "_start/search.py",
        "is_last = not has_new or offset == page.total",
        "is_last = offset == page.total",
    ),
    Mutant(
        "a cause that does not show is unclear",
        "_start/search.py",
        "any(order.owns(run) is None for run in recent)",
        "False",
    ),
    Mutant(
        "old runs are not the load's",
        "_start/search.py",
        "SLACK: Final = timedelta(minutes=10)",
        "SLACK: Final = timedelta(days=-1)",
    ),
    # _start/order.py
    Mutant(
        "the tag comes first",
        "_start/order.py",
        'f"[{tag}] {cause.strip()}"',
        'f"{cause.strip()} [{tag}]"',
    ),
    Mutant(
        "what doesn't show is not another's",
        "_start/order.py",
        "return self.tag in cause if isinstance(cause, str) else None",
        "return isinstance(cause, str) and self.tag in cause",
    ),
    Mutant(
        "a retry names the run that it continues",
        "_start/order.py",
        "        if run.id <= self.failed_id:\n            return False\n",
        "",
    ),
    Mutant(
        "only queued runs are reused",
        "_start/order.py",
        "return is_of_job and run.is_queued and",
        "return is_of_job and run.in_progress and",
    ),
    Mutant(
        "a call that reuses looks for others",
        "_start/order.py",
        "return self.is_shared or self.is_ambiguous or self.reuse_queued",
        "return self.is_shared or self.is_ambiguous",
    ),
    Mutant(
        "a load looks for others",
        "_start/order.py",
        "return self.is_shared or self.is_ambiguous or self.reuse_queued",
        "return self.is_ambiguous or self.reuse_queued",
    ),
    Mutant(
        "an ambiguous call looks for others",
        "_start/order.py",
        "return self.is_shared or self.is_ambiguous or self.reuse_queued",
        "return self.is_shared or self.reuse_queued",
    ),
    # _follow
    Mutant(
        "looks go on while following",
        "_follow/schedule.py",
        "return next(later, waited + 2 * LOOKS[-1])",
        "return 1e9",
    ),
    Mutant(
        "looks begin with the wait",
        "_follow/schedule.py",
        "LOOKS: Final = (0.0, 1.0, 3.0, 7.0, 15.0, 30.0, 60.0)",
        "LOOKS: Final = (0.0, 900.0)",
    ),
    Mutant(
        "wait_seconds is the longest interval",
        "_follow/schedule.py",
        "min(interval, wait_seconds)",
        "min(interval, 3 * wait_seconds)",
    ),
    Mutant(
        "polls grow rarer",
        "_follow/schedule.py",
        "interval = max(1.0, waited / 17)",
        "interval = 1.0",
    ),
    Mutant(
        "polls of a young run are dense",
        "_follow/schedule.py",
        "interval = max(1.0, waited / 17)",
        "interval = wait_seconds",
    ),
    Mutant(
        "the end is the end",
        "_follow/wait.py",
        "                while run.in_progress:\n",
        "                while run.status == 3 or run.is_queued:\n",
    ),
    Mutant(
        "the deadline is checked",
        "_follow/wait.py",
        "if runs and io.now() >= self.deadline:",
        "if False:",
    ),
    Mutant(
        "the status is read once more",
        "_follow/wait.py",
        "run = await self.last_io.call(read, run.id, include_related=related)",
        "pass",
    ),
    Mutant(
        "calls end at the deadline",
        "_follow/wait.py",
        "self.io = io.until(limits.deadline)",
        "self.io = io.until(limits.deadline + 60)",
    ),
    Mutant(
        "a refusal is retried for a minute",
        "_follow/wait.py",
        "REFUSAL_GRACE: Final = 60.0",
        "REFUSAL_GRACE: Final = 5.0",
    ),
    Mutant(
        "an outage is retried",
        "_follow/wait.py",
        "return Patience(self.outage_timeout, REFUSAL_GRACE",
        "return Patience(self.outage_timeout / 10, REFUSAL_GRACE",
    ),
    Mutant(
        "garbage is retried",
        "_follow/wait.py",
        "garbage=self.outage_timeout)",
        "garbage=0.0)",
    ),
    Mutant(
        "a cancelled run may have an older twin",
        "_follow/wait.py",
        "CANCELLED_PAUSES: Final = (0.0, 1.0, 2.0, 4.0, 8.0)",
        "CANCELLED_PAUSES: Final = (0.0, 1.0)",
    ),
    Mutant(
        "a last look when the run has finished",
        "_follow/wait.py",
        "return await self._look(self.order, run) if is_over else run",
        "return run",
    ),
    Mutant(
        "a look that failed comes again soon",
        "_follow/wait.py",
        "        if not is_settled:\n",
        "        if False:\n",
    ),
    Mutant(
        "a new run may not be found at once",
        "_follow/first.py",
        "return run_id in ids or run_id > max(ids, default=0)",
        "return False",
    ),
    Mutant(
        "a run of many that is lost is read alone",
        "_follow/many.py",
        "for run_id in waiting:",
        "for run_id in ():",
    ),
    Mutant(
        "a list of many may bring others",
        "_follow/first.py",
        "for run in page.items if run.id in chunk}",
        "for run in page.items}",
    ),
    Mutant(
        "a vanished run is given up",
        "_follow/many.py",
        "                self.errors[run_id] = error\n",
        "                pass\n",
    ),
    # _follow/last_words.py, _follow/watch.py
    Mutant(
        "cancelling is brief",
        "_follow/last_words.py",
        "await _cancel(io.last(MAX_SECONDS), api, watch)",
        "await _cancel(io.last(60.0), api, watch)",
    ),
    Mutant(
        "cancelling ignores the abort",
        "_follow/last_words.py",
        "await _cancel(io.last(MAX_SECONDS), api, watch)",
        "await _cancel(io, api, watch)",
    ),
    Mutant(
        "only who wants it cancels",
        "_follow/last_words.py",
        "if cancel_on_abort and (",
        "if (",
    ),
    Mutant(
        "an unanswered trigger is cancelled too",
        "_follow/last_words.py",
        "if run is None and watch.order:",
        "if False:",
    ),
    Mutant(
        "cancelling is tried again",
        "_follow/last_words.py",
        "for _ in range(round(MAX_SECONDS / PAUSE)):",
        "for _ in range(1):",
    ),
    Mutant(
        "a second signal leaves the last word",
        "_follow/last_words.py",
        "        finally:  # a second signal ends the cancelling\n",
        "        except Exception:\n            raise\n        else:\n",
    ),
    Mutant(
        "runs of others are not cancelled",
        "_follow/watch.py",
        "self.is_own = run.id not in order.covering",
        "self.is_own = True",
    ),
    Mutant(
        "a run that may exist is told of",
        "_follow/watch.py",
        "if run is None and order is not None and order.is_open:",
        "if False:",
    ),
    Mutant(
        "a finished run is not in progress",
        "_follow/watch.py",
        "if run is not None and run.in_progress:",
        "if run is not None:",
    ),
    # _io/__init__.py, _report
    Mutant(
        "nothing is retried without end",
        "_io/__init__.py",
        "            if left <= 0:\n                raise\n",
        "            if io.now() > io.deadline + 1e6:\n                raise\n",
    ),
    Mutant(
        "a reading that lags does not take the outcome back",
        "_report/__init__.py",
        "run = related if related.status == run.status else run",
        "run = related",
    ),
    Mutant(
        "trouble with details is no error",
        "_report/__init__.py",
        "    except DBTCloudAPIException as error:\n        logger.warning(",
        "    except ZeroDivisionError as error:\n        logger.warning(",
    ),
)
