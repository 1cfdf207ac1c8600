from actors.controller_manager.expectations import Expectations

from .objects import pod


def test_a_key_waits_for_each_object_that_it_created():
    expectations = Expectations()
    expectations.expect_creation("default/web", "pods", "default/web-a", 60.0)
    expectations.expect_creation("default/web", "pods", "default/web-b", 60.0)
    assert expectations.pending("default/web", 0.0) == 60.0
    assert expectations.observe("pods", "default/web-a", pod("web-a")) == set()
    assert expectations.observe("pods", "default/web-b", pod("web-b")) == {"default/web"}
    assert expectations.pending("default/web", 0.0) == 0.0


def test_an_object_that_came_and_went_at_once_counts_as_seen():
    expectations = Expectations()
    expectations.expect_creation("k", "pods", "default/a", 60.0)
    assert expectations.observe("pods", "default/a", None) == {"k"}


def test_a_deletion_is_seen_when_the_object_is_going_or_another_has_its_name():
    for new in (None, pod("a", uid="old", deleting=True), pod("a", uid="new")):
        expectations = Expectations()
        expectations.expect_deletion("k", "pods", "default/a", "old", 60.0)
        assert expectations.observe("pods", "default/a", pod("a", uid="old")) == set()
        assert expectations.observe("pods", "default/a", new) == {"k"}


def test_an_update_is_seen_at_its_revision_or_later():
    expectations = Expectations()
    shown, written = pod("a", uid="u", version=9), pod("a", uid="u", version=10)
    expectations.expect_revision("k", "pods", "default/a", written, shown, 60.0)
    assert expectations.observe("pods", "default/a", shown) == set()
    assert expectations.observe("pods", "default/a", pod("a", uid="u", version=11)) == {"k"}


def test_what_the_cache_shows_already_is_not_waited_for():
    expectations = Expectations()
    written = pod("a", uid="u", version=10)
    expectations.expect_revision("k", "pods", "default/a", written, written, 60.0)
    assert expectations.pending("k", 0.0) == 0.0


def test_after_a_conflict_the_cache_has_to_move():
    expectations = Expectations()
    stale = pod("a", uid="u", version=9)
    expectations.expect_change("k", "pods", "default/a", stale, stale, 5.0)
    assert expectations.observe("pods", "default/a", pod("a", uid="u", version=12)) == {"k"}


def test_expectations_expire_and_leave_nothing_behind():
    expectations = Expectations()
    expectations.expect_creation("k", "pods", "default/a", 60.0)
    assert expectations.pending("k", 61.0) == 0.0
    assert len(expectations) == 0
    assert expectations.observe("pods", "default/a", pod("a")) == set()


def test_a_refused_write_is_not_waited_for():
    expectations = Expectations()
    expectations.expect_creation("k", "pods", "default/a", 60.0)
    expectations.cancel("k", "pods", "default/a")
    assert expectations.pending("k", 0.0) == 0.0
