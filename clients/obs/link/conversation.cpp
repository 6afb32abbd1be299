// SPDX-License-Identifier: GPL-2.0-or-later
#include "conversation.h"

#include <algorithm>

#include "cmstream/v1/control.pb.h"

namespace cmstream {

namespace {

constexpr std::uint32_t kWidestWindow = 8;  // what a server can be set to; more would be a mistake of somebody's

}  // namespace

void Conversation::opened(const v1::StreamOpened& message) {
    limits_ = limits_of(message.limits());
    limits_.window_frames = std::min(limits_.window_frames, kWidestWindow);
    next_frame_id_ = message.next_frame_id();
    open_ = true;
}

std::uint64_t Conversation::send(Nanoseconds captured_ns, Nanoseconds sent_ns, std::optional<Alpha> alpha) {
    asked_.push_back({next_frame_id_, captured_ns, sent_ns, std::move(alpha)});
    return next_frame_id_++;
}

std::optional<Asked> Conversation::answer(std::uint64_t frame_id) {
    const auto found =
        std::find_if(asked_.begin(), asked_.end(), [&](const Asked& asked) { return asked.frame_id == frame_id; });
    if (found == asked_.end())
        return std::nullopt;
    Asked asked = std::move(*found);
    asked_.erase(found);
    return asked;
}

}  // namespace cmstream
