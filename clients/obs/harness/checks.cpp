// SPDX-License-Identifier: GPL-2.0-or-later
// What the parts without OBS and without a network promise, one sentence each. Run by tests/interop/test_obs_parts.py.
#define DOCTEST_CONFIG_IMPLEMENT_WITH_MAIN
#include <doctest/doctest.h>

#include <algorithm>
#include <cstdlib>

#include "backoff.h"
#include "capabilities.h"
#include "cmstream/v1/style_service.pb.h"
#include "conversation.h"
#include "delay.h"
#include "geometry.h"
#include "jpeg.h"
#include "label.h"
#include "options.h"
#include "params.h"
#include "picture.h"

using namespace cmstream;

namespace {

Picture plain(std::uint32_t width_px, std::uint32_t height_px, std::uint8_t level, std::uint8_t alpha = 255) {
    Picture picture;
    picture.resize(width_px, height_px);
    for (std::size_t at = 0; at < picture.rgba.size(); ++at)
        picture.rgba[at] = at % 4 == 3 ? alpha : level;
    return picture;
}

v1::StreamOpened opened(std::uint32_t window_frames, std::uint64_t next_frame_id) {
    v1::StreamOpened message;
    message.mutable_limits()->set_window_frames(window_frames);
    message.set_next_frame_id(next_frame_id);
    return message;
}

ParamSpec spec_of(const char* name, ParamKind kind, ParamValue default_value) {
    ParamSpec spec;
    spec.name = name;
    spec.kind = kind;
    spec.default_value = std::move(default_value);
    spec.maximum = 1;
    spec.choices = {"oil", "ink"};
    return spec;
}

const std::vector<ParamSpec> kSpecs{spec_of("style", ParamKind::style, std::string("oil")),
                                    spec_of("strength", ParamKind::number, 1.0),
                                    spec_of("seed", ParamKind::integer, 0.0)};

}  // namespace

TEST_CASE("a working size has the area of the square, the aspect of the source, and even sides") {
    CHECK(working_size({1920, 1080}, 384) == Size{512, 288});
    CHECK(working_size({1080, 1920}, 384) == Size{288, 512});
    CHECK(working_size({320, 240}, 384) == Size{320, 240});
    CHECK(working_size({100'000, 2}, 384).height_px == 16);
}

TEST_CASE("a window of frames may be without an answer, and each answer makes room") {
    Conversation conversation;
    CHECK_FALSE(conversation.has_room());
    conversation.opened(opened(2, 7));
    CHECK(conversation.send(100, 200, std::nullopt) == 7);
    CHECK(conversation.send(101, 201, std::nullopt) == 8);
    CHECK_FALSE(conversation.has_room());
    CHECK(conversation.waiting_since_ns() == 200);
    CHECK(conversation.answer(7)->captured_ns == 100);
    CHECK(conversation.has_room());
    CHECK(conversation.waiting_since_ns() == 201);
}

TEST_CASE("answers to what was never asked, or was answered already, are none") {
    Conversation conversation;
    conversation.opened(opened(2, 0));
    conversation.send(1, 1, std::nullopt);
    CHECK_FALSE(conversation.answer(99));
    CHECK(conversation.answer(0));
    CHECK_FALSE(conversation.answer(0));
}

TEST_CASE("a server cannot ask for a window that fills memory, nor for none") {
    Conversation wide;
    wide.opened(opened(4'000'000'000, 0));
    CHECK(wide.limits().window_frames == 8);
    Conversation narrow;
    narrow.opened(opened(0, 0));
    CHECK(narrow.has_room());
}

TEST_CASE("only what the model takes is sent") {
    std::vector<std::string> refused;
    const Params wanted{
        {"style", std::string("wax")}, {"strength", 0.5}, {"seed", 0.5}, {"prompt", std::string("a cat")}};
    CHECK(accepted(wanted, kSpecs, refused) == Params{{"strength", 0.5}});
    CHECK(refused == std::vector<std::string>{"prompt", "seed", "style"});
}

TEST_CASE("a change is what differs, and the default of what is wanted no longer") {
    const Params now{{"style", std::string("ink")}, {"strength", 0.5}};
    CHECK(difference(now, {{"strength", 0.5}, {"seed", 1.0}}, kSpecs) ==
          Params{{"style", std::string("oil")}, {"seed", 1.0}});
    CHECK(difference(now, now, kSpecs).empty());
}

TEST_CASE("capabilities without a model are an error, and unknown kinds of parameters are left out") {
    v1::GetCapabilitiesResponse message;
    CHECK_THROWS(capabilities_of(message));
    v1::Model& model = *message.add_models();
    model.set_title("Painter");
    model.add_parameters()->set_kind(static_cast<v1::ParameterKind>(99));
    model.add_parameters()->set_kind(v1::PARAMETER_KIND_NUMBER);
    CHECK(capabilities_of(message).specs.size() == 1);
}

TEST_CASE("another model brings its own parameters to the same server") {
    v1::GetCapabilitiesResponse message;
    message.set_server_version("1.2");
    message.mutable_limits()->set_working_size_px(384);
    message.add_models()->set_title("Painter");
    v1::Model wave;
    wave.set_title("Wave");
    v1::Parameter& style = *wave.add_parameters();
    style.set_name("style");
    style.set_kind(v1::PARAMETER_KIND_STYLE);
    style.add_choices("fog");
    const Capabilities changed = with_model(capabilities_of(message), wave);
    CHECK(changed.model == "Wave");
    CHECK(changed.server_version == "1.2");
    CHECK(changed.limits.working_size_px == 384);
    CHECK(changed.specs.size() == 1);
    CHECK(changed.specs[0].choices == std::vector<std::string>{"fog"});
}

TEST_CASE("what was sent is left as far as the new model has it, with the values it has there") {
    google::protobuf::Struct state =
        struct_of({{"style", std::string("fog")}, {"strength", 0.5}, {"budget_ms", 150.0}});
    (*state.mutable_fields())["prompt"].mutable_struct_value();
    const Params sent{
        {"style", std::string("oil")}, {"strength", 0.5}, {"stroke_scale", 2.0}, {"prompt", std::string("fog")}};
    CHECK(left_of(sent, state) == Params{{"style", std::string("fog")}, {"strength", 0.5}});
}

TEST_CASE("an address, a token or nothing at all that gRPC would choke on is a fault that says what to do") {
    Options options;
    CHECK(options.fault().empty());
    options.token = "line\nfeed";
    CHECK(options.fault().find("paste it again") != std::string::npos);
    options = {};
    options.address = "host name:50051";
    CHECK(options.fault().find("127.0.0.1:50051") != std::string::npos);
    options.address = "";
    CHECK_FALSE(options.fault().empty());
}

TEST_CASE("pixels travel raw on this machine and as JPEG beyond it, unless told otherwise") {
    Options options;
    CHECK_FALSE(options.sends_jpeg());
    options.address = "studio.example:50051";
    CHECK(options.sends_jpeg());
    options.transport = PixelTransport::raw;
    CHECK_FALSE(options.sends_jpeg());
}

TEST_CASE("parameters change within a call, an address takes another") {
    Options one;
    Options other = one;
    other.params["strength"] = 0.5;
    other.shows_delay = true;
    CHECK_FALSE(one.needs_other_call(other));
    other.token = "secret";
    CHECK(one.needs_other_call(other));
}

TEST_CASE("a JPEG comes back much as it went in") {
    Jpeg jpeg;
    Picture back;
    jpeg.decode(jpeg.encode(plain(64, 48, 90), 90), 8192, back);
    CHECK(back.width_px == 64);
    CHECK(back.height_px == 48);
    CHECK(std::abs(back.rgba[0] - 90) <= 2);
    CHECK(back.rgba[3] == 255);
}

TEST_CASE("a JPEG that is cut short, damaged or too large is refused") {
    Jpeg jpeg;
    Picture back;
    const std::string whole = jpeg.encode(plain(64, 48, 90), 90);
    CHECK_THROWS(jpeg.decode("", 8192, back));
    CHECK_THROWS(jpeg.decode("no picture at all", 8192, back));
    CHECK_THROWS(jpeg.decode(whole.substr(0, 20), 8192, back));
    CHECK_THROWS(jpeg.decode(whole, 32, back));
    for (std::size_t at = 0; at < whole.size(); at += 7) {
        std::string damaged = whole;
        damaged[at] = static_cast<char>(~damaged[at]);
        try {
            jpeg.decode(damaged, 8192, back);
        } catch (const std::runtime_error&) {  // either is fine; what counts is that AddressSanitizer sees nothing
        }
    }
}

TEST_CASE("an opaque picture has no alpha to keep, any other has all of it") {
    CHECK_FALSE(alpha_of(plain(4, 4, 10)));
    Picture picture = plain(4, 4, 10);
    picture.rgba[7] = 3;
    CHECK(alpha_of(picture)->values[1] == 3);
    CHECK(alpha_of(picture)->values[2] == 255);
}

TEST_CASE("an alpha is put over a picture of another size without a seam") {
    Picture source = plain(2, 1, 0);
    source.rgba[3] = 0;
    Picture styled = plain(8, 4, 200);
    apply(*alpha_of(source), styled);
    CHECK(styled.rgba[3] == 0);
    CHECK(styled.rgba[4 * 7 + 3] == 255);
    for (int x = 1; x < 8; ++x)
        CHECK(styled.rgba[4 * x + 3] >= styled.rgba[4 * (x - 1) + 3]);
}

TEST_CASE("RGB24 has three of the four bytes") {
    Picture picture = plain(2, 1, 9, 1);
    picture.rgba[0] = 1;
    CHECK(rgb24_of(picture) == std::string("\1\11\11\11\11\11"));
    Picture back = plain(2, 1, 0);
    fill_from_rgb24(back, rgb24_of(picture));
    CHECK(back.rgba == std::vector<std::uint8_t>{1, 9, 9, 255, 9, 9, 9, 255});
}

TEST_CASE("waits double up to a second, and begin anew after a connection") {
    Backoff backoff(1);
    std::chrono::milliseconds last{0};
    for (int attempt = 0; attempt < 10; ++attempt) {
        last = backoff.next();
        CHECK(last <= Backoff::kLongest);
        CHECK(last >= Backoff::kFirst * 3 / 4);
    }
    CHECK(last >= Backoff::kLongest * 3 / 4);
    backoff.reset();
    CHECK(backoff.next() <= Backoff::kFirst);
}

TEST_CASE("the delay is the median, so one late frame does not move it") {
    DelayMeter meter;
    CHECK(meter.delay_ms() == 0);
    for (Nanoseconds frame = 0; frame < 100; ++frame) {
        const Nanoseconds late = frame == 70 ? 900'000'000 : 80'000'000;
        meter.shown(frame * 40'000'000, frame * 40'000'000 + late);
    }
    CHECK(meter.delay_ms() == doctest::Approx(80));
    CHECK(meter.rate_hz() == doctest::Approx(25).epsilon(0.01));
    meter.reset();
    CHECK(meter.rate_hz() == 0);
}

TEST_CASE("a label is drawn within the picture, however small that is") {
    for (std::uint32_t side : {1U, 3U, 16U, 288U}) {
        Picture picture = plain(side, side, 50);
        draw_label(picture, "120 ms  30 fps");
        CHECK(picture.rgba[0] == 0);
    }
    Picture picture = plain(288, 288, 50);
    draw_label(picture, "1");
    CHECK(std::count(picture.rgba.begin(), picture.rgba.end(), 255) > 288 * 288);  // white besides opaque
    CHECK(picture.rgba[picture.rgba.size() - 4] == 50);
}
