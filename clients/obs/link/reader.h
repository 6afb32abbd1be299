// SPDX-License-Identifier: GPL-2.0-or-later
// Takes in what the server says in one call. Runs on a thread of its own, which ends with the call.
#pragma once

#include "cmstream/v1/style_service.grpc.pb.h"
#include "desk.h"
#include "exchange.h"
#include "jpeg.h"
#include "listener.h"

namespace cmstream {

using Stream = grpc::ClientReaderWriter<v1::StreamRequest, v1::StreamResponse>;

class Reader {
  public:
    Reader(Desk& desk, Exchange& exchange, const Listener& listener);

    // Read until the call ends, by the server or because `context` was cancelled; then the exchange has ended.
    // What the server must not say is why this cancels it itself.
    void run(Stream& stream, grpc::ClientContext& context);

  private:
    void receive(const v1::StreamResponse& response);
    void receive_opened(const v1::StreamOpened& message);
    void receive_frame(const v1::StyledFrame& frame);
    void receive_model(const v1::ModelChanged& message);
    void receive_rejection(const v1::ParametersRejected& message);
    std::optional<Asked> settle(std::uint64_t frame_id);
    void decode(const v1::StyledFrame& frame, Picture& picture);

    Desk& desk_;
    Exchange& exchange_;
    const Listener& listener_;
    Jpeg jpeg_;
};

}  // namespace cmstream
