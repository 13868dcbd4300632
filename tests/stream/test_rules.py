import math
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.localizations import Localizations
from stream import wire
from stream.config import ConfigError, RunConfig
from stream.load import load_config
from stream.results import NO_IDS, CalciumEvent, CalciumTransient, CalciumUpdate, EventsUnderWay, FrameResult
from stream.results import TrackUpdate as Tracks
from stream.rules.candidates import Observer
from stream.rules.fields import CONFIRMED, FRAME, INSIDE, SUBJECTS, markdown
from stream.rules.grammar import OPERATORS, Condition, RuleError, When, parse
from stream.rules.watch import Watch, never_firing

PIXEL_NM, INTERVAL_S = 100.0, 0.1
NOTHING = np.empty(0, np.float32)


@st.composite
def sentences(draw):
    subject = draw(st.sampled_from(list(SUBJECTS)))
    known = SUBJECTS[subject]
    conditions = draw(
        st.lists(
            st.builds(
                Condition,
                st.sampled_from(list(known.fields)),
                st.sampled_from(list(OPERATORS)),
                st.floats(allow_nan=False, allow_infinity=False),
            ),
            min_size=subject == FRAME,
            max_size=3,
        )
    )
    return When(
        subject,
        draw(st.booleans()) if CONFIRMED in known.places else False,
        draw(st.sampled_from([None, True, False])) if INSIDE in known.places else None,
        tuple(conditions),
    )


@given(sentences(), st.booleans())
def test_a_rule_that_is_written_out_reads_back_the_same(when, loud):
    text = str(when)
    assert parse(f"  {text.upper()} ".replace(" ", "  ") if loud else text) == when


def test_the_order_of_places_and_missing_spaces_do_not_matter():
    expected = When("calcium event", True, False, (Condition("snr", ">", 6.0), Condition("dff", ">=", 0.2)))
    assert parse("calcium event at a confirmed track outside a wave with snr > 6 and dff >= .2") == expected
    assert parse("Calcium event outside a wave at a confirmed track with snr>6 and dff>=0.2") == expected


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "nothing that can happen is called ''; known are: calcium event, calcium event ended,"),
        ("calcium evnt with snr > 6", "nothing that can happen is called 'calcium evnt with'"),
        (
            "calcium event at a track",
            "'at a track' is not understood after 'calcium event'; known: at a conf",
        ),
        (
            "calcium event with amplitude > 3",
            "'amplitude' is not a field of 'calcium event'; its fields are: ",
        ),
        ("calcium event with", "'nothing' is not a field of 'calcium event'"),
        ("calcium event with snr 6", "'6' after 'snr' is no comparison; known are: < <= = >= >"),
        ("calcium event with snr => 6", "'=>' after 'snr' is no comparison"),
        ("calcium event with snr > six", "'six' after 'snr >' is not a number"),
        ("calcium event with snr > nan", "'nan' after 'snr >' is not a number"),
        ("calcium event with snr >", "'nothing' after 'snr >' is not a number"),
        ("calcium event with snr > 6 or dff > 1", "'or dff >' is not understood after '6'; known: and FIELD"),
        ("calcium event with snr > 6 and", "'nothing' is not a field"),
        ("calcium event in a wave outside a wave", "'outside a wave' does not go with 'in a wave'"),
        ("calcium event outside a wave outside a wave", "'outside a wave' does not go with"),
        ("wave outside a wave", "'outside a wave' is not understood after 'wave'; known: with FIELD"),
        ("track confirmed with snr > 6", "its fields are: photons, track_age_s, x_nm, y_nm"),
        ("frame", "frame needs a condition, e.g. 'frame with puncta > 500'"),
        ("frame with " + "puncta > 1 and " * 50, "at most 500 characters"),
    ],
)
def test_what_is_wrong_in_a_sentence_is_said_in_one(text, sentence):
    with pytest.raises(RuleError, match=re.escape(sentence)) as error:
        parse(text)
    assert "\n" not in str(error.value)


@given(st.text(max_size=80))
def test_no_text_breaks_the_parser(text):
    try:
        when = parse(text)
    except RuleError:
        return
    assert parse(str(when)) == when


@pytest.mark.parametrize(
    ("rule", "sentence"),
    [
        ("{when: calcium evt}", "rules.0.when in .* is 'calcium evt': nothing that can happen is called"),
        ("{when: wave, do: exposure}", "do: exposure needs a positive number as value, not None"),
        ("{when: wave, do: exposure, value: 0}", "do: exposure needs a positive number as value"),
        ("{when: wave, do: interval, value: -1}", "do: interval needs a positive number as value"),
        ("{when: wave, do: burst, value: .inf}", "do: burst needs a positive number as value"),
        ("{when: wave, do: burst, value: 2.5}", "do: burst needs a whole number of frames"),
        ("{when: wave, do: exposure, value: on}", "rules.0.value in .* is True: it must be what `do` needs"),
        ("{when: wave, do: call}", "do: call needs a function as value, e.g. my_rules.py:on_event"),
        ("{when: wave, do: call, value: my_rules.py}", "do: call needs a function as value"),
        ("{when: wave, do: stop, value: 3}", "do: stop takes no value"),
        ("{when: wave, pause_s: -1}", "rules.0.pause_s"),
        ("{when: wave}\n  - {when: wave}", "two rules are called 'wave': give each a name"),
    ],
)
def test_a_rule_that_cannot_be_is_refused_when_the_configuration_is_read(tmp_path, rule, sentence):
    path = tmp_path / "live.yaml"
    path.write_text(f"rules:\n  - {rule}\n")
    with pytest.raises(ConfigError, match=sentence):
        load_config(path)


@pytest.mark.parametrize("rules", ["wave", "{when: wave}"])
def test_rules_that_are_no_list_are_told_in_a_users_words(tmp_path, rules):
    path = tmp_path / "live.yaml"
    path.write_text(f"rules: {rules}\n")
    with pytest.raises(ConfigError, match=r"^rules in .* must be a list, each entry begun by a dash$"):
        load_config(path)


def test_rules_that_can_be_are_read_and_travel():
    rules = [
        {"when": "wave", "do": "interval", "value": 0},
        {"when": "wave", "do": "burst", "value": 20, "name": "fast"},
        {"when": "wave", "do": "call", "value": r"C:\rules\my_rules.py:on_event", "name": "file"},
        {"when": "wave", "do": "call", "value": "my.rules:on_event", "name": "module"},
    ]
    config = RunConfig(rules=rules)
    assert [rule.title for rule in config.rules] == ["wave", "fast", "file", "module"]
    assert RunConfig.model_validate_json(config.model_dump_json(exclude_unset=True)) == config


def tracks(track_id=(), born=(), confirmed=(), died=(), dropped=()):
    changes = [np.asarray(ids, np.int64) for ids in (born, confirmed, died, dropped)]
    return Tracks(np.asarray(track_id, np.int64), NO_IDS, NOTHING, NOTHING, *changes)


def under_way(*rows):
    """Events that are on: (track, opened, confirmed, in_wave, x, y, snr)."""
    columns = list(zip(*rows, strict=True)) or [()] * 7
    track_id, opened = (np.array(column, np.int64) for column in columns[:2])
    confirmed, in_wave = (np.array(column, np.bool_) for column in columns[2:4])
    x, y, snr = (np.array(column, np.float32) for column in columns[4:])
    return EventsUnderWay(
        track_id, opened, confirmed, in_wave, x, y, snr / 10, snr, np.full(len(snr), np.nan, np.float32)
    )


def result(seq, on=(), update=None, time_s=None, missing=0, n=0, **calcium):
    nothing = CalciumUpdate.off(n, 0)
    columns = (nothing.dff, nothing.is_open, nothing.state)
    columns += (nothing.gap_dff, nothing.gap_is_open, nothing.gap_state)
    return FrameResult(
        seq,
        seq * INTERVAL_S if time_s is None else time_s,
        missing,
        Localizations.from_table(np.ones((n, 9), np.float32)),
        update or tracks([-1] * n),
        CalciumUpdate(*columns, **{"under_way": under_way(*on), **calcium}),
        latency_ms=5.0,
    )


def fire(results, *rules, **limits):
    """(seq, track) of every trigger, and the watch."""
    rules = [{"when": rule, **limits} if isinstance(rule, str) else rule for rule in rules]
    watch = Watch(RunConfig(rules=rules), PIXEL_NM, INTERVAL_S)
    return [(t.seq, t.track_id) for r in results for t in watch.step(r, r.seq)], watch


def event(seq, opened=5, track=7, confirmed=True, in_wave=False, x=10.0, y=20.0, snr=5.0):
    return result(seq, [(track, opened, confirmed, in_wave, x, y, snr)])


def test_an_event_fires_once_in_the_first_frame_in_which_all_holds():
    course = [event(5 + k, snr=snr) for k, snr in enumerate([4, 5.5, 7, 9, 8, 6.5, 3])]
    assert fire(course, "calcium event")[0] == [(5, 7)]
    assert fire(course, "calcium event with snr > 6")[0] == [(7, 7)]
    assert fire(course, "calcium event with snr > 6 and dff > 0.8")[0] == [(8, 7)]
    assert fire(course, "calcium event with snr > 10")[0] == []
    assert (
        fire(course, "calcium event with calcium_probability < 2")[0] == []
    )  # without a network nobody knows
    # Two rules about the same event are two triggers.
    assert fire(course, "calcium event", "calcium event with snr > 6")[0] == [(5, 7), (7, 7)]


def test_an_event_that_flickers_is_one_and_the_next_one_another():
    flickering = [
        event(5),
        result(6),
        event(7),
        result(8),
        event(9),
        event(12, opened=12),
        event(13, opened=12),
    ]
    assert fire(flickering, "calcium event")[0] == [(5, 7), (12, 7)]


def test_an_event_that_a_new_track_inherits_or_a_second_one_sees_fires_once():
    died = result(9, [], tracks(died=[7]))
    heir = [event(5), died, event(10, track=8, x=11.5), event(11, track=8, x=11.5)]
    assert fire(heir, "calcium event")[0] == [(5, 7)]
    elsewhere = [event(5), died, event(10, track=8, x=14.0)]
    assert fire(elsewhere, "calcium event")[0] == [(5, 7), (10, 8)]
    second = [event(5), result(6, [(7, 5, True, False, 10, 20, 5), (9, 6, True, False, 11, 20, 5)])]
    assert fire(second, "calcium event")[0] == [(5, 7)]
    both = [(7, 100, True, False, 10, 20, 5), (9, 101, True, False, 11, 20, 5)]
    assert fire([*second, result(100, both[:1]), result(101, both)], "calcium event")[0] == [(5, 7), (100, 7)]
    apart = [both[0], (9, 100, True, False, 14, 20, 5)]
    assert fire([*second, result(100, apart)], "calcium event")[0] == [(5, 7), (100, 7), (100, 9)]


def test_a_tentative_track_waits_for_its_confirmation():
    course = [event(5, confirmed=False), event(6, confirmed=False), event(7), event(8)]
    assert fire(course, "calcium event at a confirmed track")[0] == [(7, 7)]
    assert fire(course, "calcium event")[0] == [(5, 7)]


def test_places_in_waves_are_told_apart():
    course = [event(5, in_wave=True), event(6)]
    assert fire(course, "calcium event in a wave")[0] == [(5, 7)]
    assert fire(course, "calcium event outside a wave")[0] == [(6, 7)]


def test_an_old_event_does_not_hide_one_at_the_same_place_much_later():
    later = [event(5), result(9, [], tracks(died=[7])), *(event(s, opened=200, track=9) for s in (200, 201))]
    assert fire(later, "calcium event")[0] == [(5, 7), (200, 9)]


def test_a_rule_rests_and_ends_as_it_is_told():
    course = [event(s, opened=s) for s in range(0, 50, 5)]
    every, _ = fire(course, "calcium event")
    assert len(every) == 10
    rested, watch = fire(course, "calcium event", pause_s=1.0)
    assert [seq for seq, _ in rested] == [0, 10, 20, 30, 40]
    assert watch.rested == {"calcium event": 5}
    ended, watch = fire(course, "calcium event", at_most=3)
    assert [seq for seq, _ in ended] == [0, 5, 10]
    assert watch.rested == {"calcium event": 7}


def test_a_rest_does_not_outlast_a_clock_that_is_set_back():
    course = [event(s, opened=s) for s in range(0, 50, 5)]
    for r in course[5:]:
        object.__setattr__(r, "time_s", r.time_s - 1e6)
    fired, _ = fire(course, "calcium event", pause_s=0.9)
    assert len(fired) >= 4


def test_a_frame_fires_when_it_becomes_true_and_again_only_after_it_was_not():
    puncta = [1, 5, 6, 2, 2, 7, 7, 1]
    course = [result(seq, n=n) for seq, n in enumerate(puncta)]
    assert [seq for seq, _ in fire(course, "frame with puncta > 4")[0]] == [1, 5]
    # What began at rest does not fire when the rest is over.
    limited, watch = fire(course, "frame with puncta > 4", pause_s=0.45)
    assert [seq for seq, _ in limited] == [1] and watch.rested == {"frame with puncta > 4": 1}


def test_a_frame_knows_its_tracks_losses_and_latency():
    course = [
        result(0, [(7, 0, True, False, 1, 1, 5), (8, 0, False, False, 5, 5, 5)], tracks(confirmed=[7, 9])),
        result(3, [], tracks(died=[7]), missing=2),
    ]
    assert fire(course, "frame with tracks = 2")[0] == [(0, -1)]
    assert fire(course, "frame with tracks = 1")[0] == [(3, -1)]
    assert fire(course, "frame with open_tracks = 1")[0] == [(0, -1)]
    assert fire(course, "frame with missing > 0 and latency_ms < 6")[0] == [(3, -1)]


def test_a_wave_fires_when_it_begins_and_when_it_is_over():
    wave = CalciumTransient(0, 1, 2, 3, 0.1, 0.3, 4.0, 5.0, 1.0, 20.0, 640.0, True, True)
    spark = CalciumTransient(1, 1, 2, 3, 0.1, 0.3, 4.0, 5.0, 1.0, 9.0, 20.0, False, False)
    shares = [0.0, 0.1, 0.3, 0.2, 0.0, 0.05]
    course = [result(seq, wave_share=share) for seq, share in enumerate(shares)]
    course.append(result(6, transients=(wave, spark)))
    assert [seq for seq, _ in fire(course, "wave")[0]] == [1, 5]
    assert [seq for seq, _ in fire(course, "wave with wave_share > 0.2")[0]] == [2]
    assert fire(course, "wave ended with area_um2 > 6")[0] == [(6, -1)]  # 640 px of 0.01 µm²
    assert fire(course, "wave ended with area_um2 > 6.5")[0] == []
    assert fire(course, "calcium transient ended outside a wave with snr = 9")[0] == [(6, -1)]
    assert fire(course, "calcium transient ended in a wave")[0] == []


def test_an_ended_event_is_asked_for_what_is_known_of_it():
    ended = CalciumEvent(0, 7, 2, 3, 8, 0.2, 0.3, 0.8, 0.7, 0.05, 0.3, 0.2, 9.0, 0.95, False, 10.0, 20.0)
    course = [result(9, events=(ended,))]
    when = (
        "calcium event ended at a confirmed track outside a wave with duration_s > 0.5 and amplitude_dff < 1"
    )
    assert fire(course, when)[0] == [(9, 7)]
    assert fire(course, "calcium event ended with duration_s > 0.7")[0] == []
    assert fire(course, "calcium event ended in a wave")[0] == []


def test_a_track_fires_when_it_is_confirmed_with_its_age_and_place():
    course = [
        result(0, update=tracks([3], born=[3]), n=1),
        result(1, update=tracks([3]), n=1),
        result(2, update=tracks([4, 3], born=[4], confirmed=[3]), n=2),
    ]
    assert fire(course, "track confirmed with track_age_s > 0.15 and x_nm = 100")[0] == [(2, 3)]
    assert fire(course, "track confirmed with track_age_s > 0.25")[0] == []


def test_a_trigger_says_what_was_measured():
    watch = Watch(
        RunConfig(rules=[{"when": "calcium event with snr > 6", "name": "n"}]), PIXEL_NM, INTERVAL_S
    )
    update = tracks([7], born=[7])
    (trigger,) = [
        *watch.step(result(3, update=update, n=1), 4),
        *watch.step(event(5, snr=7.0), 6),
    ]
    assert (trigger.rule, trigger.seq, trigger.newest_seq, trigger.track_id) == ("n", 5, 6, 7)
    assert (trigger.x_nm, trigger.y_nm) == (1000.0, 2000.0)
    assert trigger.measured == pytest.approx({"snr": 7.0, "dff": 0.7, "track_age_s": 0.2})
    assert trigger.time_s == 0.5 and trigger.what == "calcium event"
    assert wire.decode_trigger([bytes(p) for p in wire.encode_trigger(trigger)]) == trigger


@pytest.mark.parametrize("subject", SUBJECTS)
def test_every_field_that_is_documented_is_there(subject):
    ended = CalciumEvent(0, 7, 2, 3, 8, 0.2, 0.3, 0.8, 0.7, 0.05, 0.3, 0.2, 9.0, 0.95, False, 10.0, 20.0)
    transients = [
        CalciumTransient(k, 1, 2, 3, 0.1, 0.3, 4.0, 5.0, 1.0, 20.0, 640.0, k == 0, True) for k in (0, 1)
    ]
    everything = result(
        2,
        [(7, 0, True, False, 1, 1, 5)],
        tracks([7], born=[7], confirmed=[7]),
        n=1,
        events=(ended,),
        transients=tuple(transients),
        wave_share=0.1,
    )
    for r, n in ((everything, 1), (result(3), int(subject == FRAME))):
        observer = Observer(PIXEL_NM)
        observer.take(r, 0.0)
        seen = observer.see(subject)
        assert set(seen.fields) == set(SUBJECTS[subject].fields)
        columns = (*seen.fields.values(), seen.track_id, seen.since, seen.confirmed, seen.in_wave)
        assert {len(column) for column in columns} == {n}
    assert f"| `{subject}` |" in markdown()


def test_rules_that_this_run_cannot_see_are_named():
    rules = RunConfig(rules=[{"when": w} for w in ("calcium event", "frame with puncta > 3", "wave")]).rules
    assert list(never_firing(rules, True)) == []
    assert [s.split(" can")[0] for s in never_firing(rules, False)] == ["rule 'calcium event'", "rule 'wave'"]


@pytest.mark.parametrize(
    "message",
    [
        wire.Trigger(3, "r", 5, 6, 0.5, "wave", -1, None, None, {"wave_share": 0.5}),
        wire.Acted(3, True, "marked", 4.5, 1.5),
        wire.Acted(3, False, "a recording cannot be acted on"),
        wire.TriggersBegin(),
        wire.TriggersEnd(),
    ],
)
def test_messages_about_triggers_come_back_as_they_were(message):
    parts = [bytes(part) for part in wire.encode_trigger(message)]
    assert wire.decode_trigger(parts) == message
    with pytest.raises(wire.WireError, match="checksum"):
        wire.decode_trigger([parts[0], parts[1] + b"x", parts[2]])
    with pytest.raises(wire.WireError, match="topic"):
        wire.decode_trigger([bytes(part) for part in wire.encode_result(result(1))])


def test_a_trigger_of_another_version_or_at_no_time_is_refused():
    trigger = wire.Trigger(3, "r", 5, 6, math.nan, "wave", -1, None, None, {})
    with pytest.raises(wire.WireError, match="not a finite number"):
        wire.decode_trigger(wire.encode_trigger(trigger))
    with pytest.raises(wire.WireError, match="version"):
        wire.decode_trigger(wire.encode_trigger(wire.TriggersBegin(wire.VERSION + 1)))


def test_events_under_way_travel_with_results():
    sent = result(
        4, [(7, 2, True, False, 1.5, 2.5, 6.5), (9, 3, False, True, 3.5, 4.5, 8.5)], wave_share=0.25
    )
    received = wire.decode_result([bytes(part) for part in wire.encode_result(sent)])
    assert received.calcium.wave_share == 0.25 and len(received.calcium.under_way) == 2
    for name in EventsUnderWay.__slots__:
        expected = getattr(sent.calcium.under_way, name)
        np.testing.assert_array_equal(getattr(received.calcium.under_way, name), expected)
        assert getattr(received.calcium.under_way, name).dtype == expected.dtype
