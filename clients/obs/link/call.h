// SPDX-License-Identifier: GPL-2.0-or-later
// One call of StyleService.Stream, from connecting to its end. Runs on the worker thread, and brings a reader of its
// own.
#pragma once

#include <memory>
#include <string>

#include "reader.h"

namespace cmstream {

class Call {
  public:
    Call(Desk& desk, Options options, const Listener& listener);

    // Connect, converse until the server ends it, the options want another call, or the desk is stopping.
    // Gives why it ended, for people. Never throws.
    std::string run();

  private:
    std::string converse();
    grpc::Status learn(v1::StyleService::Stub& stub);
    v1::StreamRequest opening();
    void write_until_the_end(Stream& stream);
    bool wait_for_errand();
    bool write_changes(Stream& stream);
    bool write_frame(Stream& stream);
    bool write_picture(Stream& stream, const Picture& picture);
    bool fits(const Picture& picture);
    v1::StreamRequest request_of(const Picture& picture);
    bool is_over() const;
    Params take_wanted();
    std::shared_ptr<const Capabilities> take_model();

    Desk& desk_;
    const Options options_;
    const Listener& listener_;
    Exchange exchange_;
    Jpeg jpeg_;
    Params wanted_;  // as the options had them when they were last sent
    Params sent_;    // what of them the model takes
    std::uint64_t next_request_id_ = 1;
    bool has_complained_ = false;
};

}  // namespace cmstream
