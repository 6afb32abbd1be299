// SPDX-License-Identifier: GPL-2.0-or-later
// What the plugin asks of a gRPC channel, and what its errors mean to people. Any thread.
#pragma once

#include <grpcpp/grpcpp.h>

#include <memory>
#include <string>

#include "options.h"

namespace cmstream {

// A channel of its own for every attempt, so that gRPC's back-off, which grows to minutes, is never in the way.
// Throws std::runtime_error where the certificates cannot be read. `options` has no fault().
std::shared_ptr<grpc::Channel> channel_of(const Options& options);

// The bearer token, if there is one.
void authorize(grpc::ClientContext& context, const Options& options);

// One line that says what to do.
std::string explain(const grpc::Status& status, const Options& options);

}  // namespace cmstream
