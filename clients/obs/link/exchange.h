// SPDX-License-Identifier: GPL-2.0-or-later
// What writer and reader of one call share. All of it guarded by the desk's mutex.
#pragma once

#include <google/protobuf/struct.pb.h>

#include <memory>
#include <optional>
#include <string>

#include "conversation.h"

namespace cmstream {

struct Exchange {
    std::shared_ptr<const Capabilities> capabilities;  // set before the reader starts, and anew with every model
    std::optional<google::protobuf::Struct> state;     // of the stream under a new model, which the writer has not seen
    Conversation conversation;
    bool has_ended = false;  // nothing more will be read
    std::string failure;     // why this side ended it; empty where it did not
};

}  // namespace cmstream
