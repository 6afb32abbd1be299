// SPDX-License-Identifier: GPL-2.0-or-later
#include "reader.h"

#include <cmath>
#include <stdexcept>

#include "label.h"

namespace cmstream {

namespace {

constexpr std::uint32_t kLargestSidePx = 8192;  // of a styled picture: more is damage or malice

std::string label_of(double delay_ms, double rate_hz) {
    return std::to_string(std::lround(delay_ms)) + " ms  " + std::to_string(std::lround(rate_hz)) + " fps";
}

std::string connected(const Capabilities& server, const std::string& stream) {
    return "connected: " + server.model + " on " + server.device + ", stream '" + stream + "', server " +
           server.server_version;
}

}  // namespace

Reader::Reader(Desk& desk, Exchange& exchange, const Listener& listener)
    : desk_(desk), exchange_(exchange), listener_(listener) {}

void Reader::run(Stream& stream, grpc::ClientContext& context) {
    v1::StreamResponse response;
    try {
        while (stream.Read(&response))
            receive(response);
    } catch (const std::exception& error) {
        context.TryCancel();
        while (stream.Read(&response)) {
        }
        const std::lock_guard lock(desk_.mutex);
        exchange_.failure = error.what();
    }
    const std::lock_guard lock(desk_.mutex);
    exchange_.has_ended = true;
    desk_.changed.notify_all();
}

// Kinds that this version does not know are ignored.
void Reader::receive(const v1::StreamResponse& response) {
    switch (response.response_case()) {
        case v1::StreamResponse::kOpened:
            return receive_opened(response.opened());
        case v1::StreamResponse::kFrame:
            return receive_frame(response.frame());
        case v1::StreamResponse::kFrameDropped:
            settle(response.frame_dropped().frame_id());
            return;
        case v1::StreamResponse::kModelChanged:
            return receive_model(response.model_changed());
        case v1::StreamResponse::kParametersRejected:
            return receive_rejection(response.parameters_rejected());
        default:
            return;
    }
}

void Reader::receive_opened(const v1::StreamOpened& message) {
    {
        const std::lock_guard lock(desk_.mutex);
        exchange_.conversation.opened(message);
        desk_.is_open = true;
        desk_.working_size_px = exchange_.conversation.limits().working_size_px;
        desk_.status.is_connected = true;
        desk_.status.stream = message.stream();
        desk_.status.text = connected(*exchange_.capabilities, message.stream());
        desk_.changed.notify_all();
    }
    listener_.status_changed();
}

// The frames go on. What was chosen may be no more, and what the model before did not know may be wanted: the writer
// sees to that, and the properties are offered anew.
void Reader::receive_model(const v1::ModelChanged& message) {
    {
        const std::lock_guard lock(desk_.mutex);
        exchange_.capabilities =
            std::make_shared<const Capabilities>(with_model(*exchange_.capabilities, message.model()));
        exchange_.state = message.parameters();
        desk_.status.capabilities = exchange_.capabilities;
        desk_.status.text = connected(*exchange_.capabilities, desk_.status.stream);
        desk_.changed.notify_all();
    }
    listener_.log("the server changed its model");
    listener_.status_changed();
}

void Reader::receive_frame(const v1::StyledFrame& frame) {
    const auto asked = settle(frame.frame_id());
    if (!asked)
        return;
    std::unique_ptr<Picture> picture;
    std::string label;
    {
        const std::lock_guard lock(desk_.mutex);
        picture = desk_.blank();
        if (desk_.options.shows_delay)
            label = label_of(desk_.delay_ms, desk_.rate_hz);
    }
    decode(frame, *picture);
    if (asked->alpha)
        apply(*asked->alpha, *picture);
    if (!label.empty())
        draw_label(*picture, label);
    picture->captured_ns = asked->captured_ns;
    const std::lock_guard lock(desk_.mutex);
    desk_.keep(std::move(desk_.styled));
    desk_.styled = std::move(picture);
}

void Reader::receive_rejection(const v1::ParametersRejected& message) {
    for (const v1::FieldViolation& violation : message.violations())
        listener_.log("the server refused " + violation.field() + ": " + violation.description());
}

// This frame has its answer, whatever it is: there is room for another.
std::optional<Asked> Reader::settle(std::uint64_t frame_id) {
    const std::lock_guard lock(desk_.mutex);
    auto asked = exchange_.conversation.answer(frame_id);
    desk_.waiting_since_ns = exchange_.conversation.waiting_since_ns();
    desk_.changed.notify_all();
    return asked;
}

void Reader::decode(const v1::StyledFrame& frame, Picture& picture) {
    if (frame.pixel_format() == v1::PIXEL_FORMAT_JPEG)
        return jpeg_.decode(frame.data(), kLargestSidePx, picture);
    const bool is_sane = frame.width() >= 1 && frame.width() <= kLargestSidePx && frame.height() >= 1 &&
                         frame.height() <= kLargestSidePx;
    if (frame.pixel_format() != v1::PIXEL_FORMAT_RGB24 || !is_sane ||
        frame.data().size() != std::size_t{frame.width()} * frame.height() * 3)
        throw std::runtime_error("the server sent a picture that makes no sense: is it another version?");
    picture.resize(frame.width(), frame.height());
    fill_from_rgb24(picture, frame.data());
}

}  // namespace cmstream
