"""Which offers and candidates are taken, which are refused, and which are let lie."""

from __future__ import annotations

from pathlib import Path

import pytest

from cmstream.core.errors import InvalidOffer
from cmstream.transport.rtc.offer import check_offer, trickled

OFFERS = {path.stem: path.read_bytes().decode() for path in sorted((Path(__file__).parent / "offers").glob("*.sdp"))}
HOST = "a=candidate:1 1 udp 2130706431 192.0.2.1 50000 typ host"


def offer(*media: str, session: str = "") -> str:
    head = ["v=0", "o=- 1 1 IN IP4 127.0.0.1", "s=-", "t=0 0", *session.split("\n")]
    return "\r\n".join([line for line in head if line] + [line for part in media for line in part.split("\n")]) + "\r\n"


def section(kind: str, direction: str, mid: int, *more: str) -> str:
    codec = "96 VP8/90000" if kind == "video" else "111 opus/48000/2"
    lines = [f"m={kind} 9 UDP/TLS/RTP/SAVPF {codec.split()[0]}", "c=IN IP4 0.0.0.0", f"a=mid:{mid}", f"a={direction}"]
    lines += ["a=rtcp-mux", f"a=rtpmap:{codec}", "a=ice-ufrag:EsAw", "a=ice-pwd:bP+XJMM09aR8AiX1jdukzR6Y", "a=setup:actpass"]
    return "\n".join([*lines, "a=fingerprint:sha-256 " + ":".join(["AB"] * 32), *more])


@pytest.mark.parametrize("name", [name for name in OFFERS if "sound-only" not in name])
def test_the_offers_of_real_clients_are_taken(name: str) -> None:
    sends_video = "whep" not in name
    assert check_offer(OFFERS[name], sends_video=sends_video).startswith("v=0")
    with pytest.raises(InvalidOffer, match="section that (sends|receives)"):
        check_offer(OFFERS[name], sends_video=not sends_video)


def test_sound_alone_is_no_offer() -> None:
    with pytest.raises(InvalidOffer, match="no video section that sends") as caught:
        check_offer(OFFERS["ffmpeg-whip-sound-only"], sends_video=True)
    assert caught.value.parsed


@pytest.mark.parametrize("direction", ["sendonly", "sendrecv"])
def test_an_offer_that_sends_video_may_be_published(direction: str) -> None:
    assert "m=video" in check_offer(offer(section("video", direction, 0)), sends_video=True)


@pytest.mark.parametrize("direction", ["recvonly", "inactive"])
def test_an_offer_that_sends_no_video_is_refused_for_publishing(direction: str) -> None:
    with pytest.raises(InvalidOffer, match="no video section that sends") as caught:
        check_offer(offer(section("video", direction, 0)), sends_video=True)
    assert caught.value.parsed


@pytest.mark.parametrize("direction", ["sendonly", "inactive"])
def test_an_offer_that_receives_no_video_is_refused_for_viewing(direction: str) -> None:
    with pytest.raises(InvalidOffer, match="section that receives") as caught:
        check_offer(offer(section("video", direction, 0)), sends_video=False)
    assert caught.value.parsed


@pytest.mark.parametrize("kind", ["audio", "video"])
def test_two_tracks_of_a_kind_are_refused_whole(kind: str) -> None:
    media = [section("video", "sendonly", 0), section("audio", "sendonly", 1), section(kind, "sendonly", 2)]
    with pytest.raises(InvalidOffer, match=f"more than one {kind} section") as caught:
        check_offer(offer(*media), sends_video=True)
    assert caught.value.parsed


def test_more_sections_or_candidates_than_anybody_needs_are_refused() -> None:
    with pytest.raises(InvalidOffer, match="media sections"):
        check_offer(offer(*(section("video", "sendonly", number) for number in range(5))), sends_video=True)
    with pytest.raises(InvalidOffer, match="candidates"):
        check_offer(offer(section("video", "sendonly", 0, *[HOST] * 65)), sends_video=True)


@pytest.mark.parametrize("lacking", ["a=ice-ufrag:EsAw", "a=ice-pwd:bP", "a=fingerprint:"])
def test_an_offer_without_a_key_to_the_media_is_refused(lacking: str) -> None:
    lines = [line for line in offer(section("video", "sendonly", 0)).splitlines() if not line.startswith(lacking)]
    with pytest.raises(InvalidOffer) as caught:
        check_offer("\r\n".join(lines), sends_video=True)
    assert caught.value.parsed


UNUSABLE = [
    "a=candidate:1 2 udp 2130706431 192.0.2.1 50000 typ host",
    "a=candidate:1 1 tcp 1518280447 192.0.2.1 9 typ host tcptype active",
    "a=candidate:1 1 udp 2130706431 c0ffee-1.local 50000 typ host",
    "a=candidate:1 1 udp 2130706431 host.example 50000 typ host",
    "a=candidate:1 1 udp 2130706431 224.0.0.1 50000 typ host",
    "a=candidate:1 1 udp 2130706431 0.0.0.0 50000 typ host",
    "a=candidate:1 1 udp 2130706431 255.255.255.255 50000 typ host",
    "a=candidate:1 1 udp 2130706431 ff02::1 50000 typ host",
    "a=candidate:1 1 udp 2130706431 192.0.2.1 0 typ host",
    "a=candidate:1 1 udp 2130706431 192.0.2.1 50000 typ strange",
]
MALFORMED = [
    "a=candidate:",
    "a=candidate:1 1 udp",
    "a=candidate:1 one udp 2130706431 192.0.2.1 50000 typ host",
    "a=candidate:1 1 udp high 192.0.2.1 50000 typ host",
    "a=candidate:1 1 udp 2130706431 192.0.2.1 99999 typ host",
    "a=candidate:1 1 udp 2130706431 192.0.2.1 -1 typ host",
]


@pytest.mark.parametrize("line", UNUSABLE)
def test_a_candidate_that_cannot_be_used_is_left_out_and_the_others_are_taken(line: str) -> None:
    kept = check_offer(offer(section("video", "sendonly", 0, line, HOST)), sends_video=True)
    assert [one for one in kept.splitlines() if one.startswith("a=candidate")] == [HOST]
    assert [candidate.ip for candidate in trickled(f"a=mid:0\r\n{line}\r\n{HOST}\r\n")] == ["192.0.2.1"]


@pytest.mark.parametrize("line", MALFORMED)
def test_what_is_no_candidate_is_refused(line: str) -> None:
    with pytest.raises(InvalidOffer):
        check_offer(offer(section("video", "sendonly", 0, line)), sends_video=True)
    with pytest.raises(InvalidOffer) as caught:
        trickled(f"a=mid:0\r\n{line}\r\n")
    assert not caught.value.parsed


def test_candidates_belong_to_the_section_that_their_fragment_names_or_to_the_first() -> None:
    named = trickled(f"a=ice-ufrag:EsAw\r\nm=video 9 UDP/TLS/RTP/SAVPF 0\r\na=mid:v\r\n{HOST}\r\na=end-of-candidates\r\n")
    assert [(one.sdpMid, one.sdpMLineIndex) for one in named] == [("v", None)]
    assert [(one.sdpMid, one.sdpMLineIndex) for one in trickled(f"{HOST}\r\n")] == [(None, 0)]


def test_a_fragment_may_say_nothing_but_that_there_are_no_more_candidates() -> None:
    assert trickled("a=ice-ufrag:EsAw\r\na=ice-pwd:bP\r\na=end-of-candidates\r\n") == []


def test_attributes_nobody_knows_are_passed_over() -> None:
    assert len(trickled(f"a=new-and-strange:1\r\na=mid:0\r\nx=unheard\r\n{HOST} generation 0 network-cost 50\r\n")) == 1


@pytest.mark.parametrize("fragment", ["", "\r\n", "hello", "v=0\r\n"])
def test_what_is_no_fragment_is_refused(fragment: str) -> None:
    with pytest.raises(InvalidOffer) as caught:
        trickled(fragment)
    assert not caught.value.parsed


def test_no_more_candidates_are_taken_than_are_needed() -> None:
    with pytest.raises(InvalidOffer, match="at most 16") as caught:
        trickled("a=mid:0\r\n" + f"{HOST}\r\n" * 17)
    assert caught.value.parsed


@pytest.mark.parametrize(
    "groups",
    [
        ["BUNDLE nobody"],
        ["BUNDLE nobody 0 1"],
        ["BUNDLE 0 nobody"],
        ["BUNDLE 0 0 1"],
        ["BUNDLE 0 1", "BUNDLE 1"],
    ],
)
def test_a_bundle_of_what_is_not_there_is_refused(groups: list[str]) -> None:
    media = [section("video", "sendonly", 0), section("audio", "sendonly", 1)]
    with pytest.raises(InvalidOffer, match="BUNDLE") as caught:
        check_offer(offer(*media, session="\n".join(f"a=group:{group}" for group in groups)), sends_video=True)
    assert caught.value.parsed


@pytest.mark.parametrize("group", ["BUNDLE", "BUNDLE 0", "BUNDLE 0 1", "BUNDLE 1 0", "LS 0 9"])
def test_a_bundle_of_sections_of_the_offer_is_taken(group: str) -> None:
    media = [section("video", "sendonly", 0), section("audio", "sendonly", 1)]
    assert check_offer(offer(*media, session=f"a=group:{group}"), sends_video=True)


def test_sections_of_one_name_are_refused_and_one_without_a_name_is_taken() -> None:
    with pytest.raises(InvalidOffer, match="same a=mid"):
        check_offer(offer(section("video", "sendonly", 0), section("audio", "sendonly", 0)), sends_video=True)
    assert check_offer(offer(section("video", "sendonly", 0)).replace("a=mid:0\r\n", ""), sends_video=True)


def test_a_section_without_a_direction_goes_both_ways() -> None:
    bare = [
        section("audio", "sendrecv", 0).replace("a=sendrecv\n", ""),
        section("video", "sendrecv", 1).replace("a=sendrecv\n", ""),
    ]
    for sends_video in (True, False):
        assert check_offer(offer(*bare), sends_video=sends_video).count("a=sendrecv\r\n") == 2


def test_an_offer_that_wants_a_port_for_rtcp_is_refused_in_words() -> None:
    with pytest.raises(InvalidOffer, match="a=rtcp-mux") as caught:
        check_offer(offer(section("video", "sendonly", 0)).replace("a=rtcp-mux\r\n", ""), sends_video=True)
    assert caught.value.parsed
