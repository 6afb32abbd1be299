// SPDX-License-Identifier: GPL-2.0-or-later
#include "call.h"

#include <algorithm>
#include <chrono>
#include <thread>

#include "channel.h"

namespace cmstream {

namespace {

constexpr std::chrono::seconds kAnswerWithin{5};
constexpr int kJpegQuality = 90;
constexpr std::uint32_t kPtsHz = 1'000'000;
constexpr Nanoseconds kNsPerUs = 1000;

// Where the desk finds the context to cancel, for as long as this lives.
class Cancellable {
  public:
    Cancellable(Desk& desk, grpc::ClientContext& context, const Options& options) : desk_(desk) {
        const std::lock_guard lock(desk_.mutex);
        desk_.cancel = [&context] { context.TryCancel(); };
        if (desk_.is_stopping || desk_.options.needs_other_call(options))
            context.TryCancel();
    }
    ~Cancellable() {
        const std::lock_guard lock(desk_.mutex);
        desk_.cancel = nullptr;
    }
    Cancellable(const Cancellable&) = delete;
    Cancellable& operator=(const Cancellable&) = delete;

  private:
    Desk& desk_;
};

// The reader's thread: cancelled and joined at the latest when this ends.
class Reading {
  public:
    Reading(Reader& reader, Stream& stream, grpc::ClientContext& context)
        : context_(context), thread_([&] { reader.run(stream, context); }) {}
    ~Reading() { finish(); }
    Reading(const Reading&) = delete;
    Reading& operator=(const Reading&) = delete;

    void finish() {
        if (!thread_.joinable())
            return;
        context_.TryCancel();
        thread_.join();
    }

  private:
    grpc::ClientContext& context_;
    std::thread thread_;
};

}  // namespace

Call::Call(Desk& desk, Options options, const Listener& listener)
    : desk_(desk), options_(std::move(options)), listener_(listener) {}

std::string Call::run() {
    const std::string fault = options_.fault();
    if (!fault.empty())
        return fault;
    try {
        return converse();
    } catch (const std::exception& error) {
        return error.what();
    }
}

std::string Call::converse() {
    const auto stub = v1::StyleService::NewStub(channel_of(options_));
    const grpc::Status learned = learn(*stub);
    if (!learned.ok())
        return explain(learned, options_);
    const v1::StreamRequest first = opening();
    grpc::ClientContext context;
    authorize(context, options_);
    const Cancellable cancellable(desk_, context, options_);
    const std::unique_ptr<Stream> stream = stub->Stream(&context);
    Reader reader(desk_, exchange_, listener_);
    Reading reading(reader, *stream, context);
    stream->Write(first);  // where it fails, the reader sees the end, and what the server had to say
    write_until_the_end(*stream);
    reading.finish();
    const grpc::Status status = stream->Finish();
    return exchange_.failure.empty() ? explain(status, options_) : exchange_.failure;
}

// GetCapabilities: which parameters may be sent at all, and what the properties can offer.
grpc::Status Call::learn(v1::StyleService::Stub& stub) {
    grpc::ClientContext context;
    authorize(context, options_);
    context.set_deadline(std::chrono::system_clock::now() + kAnswerWithin);
    const Cancellable cancellable(desk_, context, options_);
    v1::GetCapabilitiesResponse response;
    const grpc::Status status = stub.GetCapabilities(&context, {}, &response);
    if (status.ok()) {
        exchange_.capabilities = std::make_shared<const Capabilities>(capabilities_of(response));
        const std::lock_guard lock(desk_.mutex);
        desk_.status.capabilities = exchange_.capabilities;
    }
    return status;
}

v1::StreamRequest Call::opening() {
    sent_ = take_wanted();
    v1::StreamRequest request;
    v1::OpenStream& open = *request.mutable_open();
    open.set_stream(options_.stream);
    *open.mutable_parameters() = struct_of(sent_);
    open.set_result_format(options_.sends_jpeg() ? v1::PIXEL_FORMAT_JPEG : v1::PIXEL_FORMAT_RGB24);
    open.set_jpeg_quality(kJpegQuality);
    return request;
}

// What the options want by now, as far as the model takes it.
Params Call::take_wanted() {
    std::vector<std::string> refused;
    std::shared_ptr<const Capabilities> capabilities;
    {
        const std::lock_guard lock(desk_.mutex);
        wanted_ = desk_.options.params;
        capabilities = exchange_.capabilities;
    }
    Params params = accepted(wanted_, capabilities->specs, refused);
    for (const std::string& name : refused)
        listener_.log("the server's model does not take '" + name + "' as it is set here: left out");
    return params;
}

void Call::write_until_the_end(Stream& stream) {
    while (wait_for_errand()) {
        if (!write_changes(stream) || !write_frame(stream))
            return;
    }
}

// Whether there is something to write; false at the end.
bool Call::wait_for_errand() {
    std::unique_lock lock(desk_.mutex);
    desk_.changed.wait(lock, [this] {
        const Conversation& conversation = exchange_.conversation;
        const bool has_changes = conversation.is_open() && (exchange_.state || desk_.options.params != wanted_);
        return is_over() || has_changes || (conversation.has_room() && desk_.source != nullptr);
    });
    return !is_over();
}

// With the mutex held.
bool Call::is_over() const {
    return exchange_.has_ended || desk_.is_stopping || desk_.options.needs_other_call(options_);
}

// The model there is by now; where it is another, what was sent counts as far as it was carried over.
std::shared_ptr<const Capabilities> Call::take_model() {
    const std::lock_guard lock(desk_.mutex);
    if (exchange_.state)
        sent_ = left_of(sent_, *exchange_.state);
    exchange_.state.reset();
    return exchange_.capabilities;
}

bool Call::write_changes(Stream& stream) {
    const std::shared_ptr<const Capabilities> capabilities = take_model();
    const Params params = take_wanted();
    const Params changes = difference(sent_, params, capabilities->specs);
    if (changes.empty())
        return true;
    sent_ = params;
    v1::StreamRequest request;
    request.mutable_update()->set_request_id(next_request_id_++);
    *request.mutable_update()->mutable_parameters() = struct_of(changes);
    return stream.Write(request);
}

bool Call::write_frame(Stream& stream) {
    std::unique_ptr<Picture> picture;
    {
        const std::lock_guard lock(desk_.mutex);
        if (exchange_.conversation.has_room())
            picture = std::move(desk_.source);
    }
    if (picture == nullptr)
        return true;
    const bool written = !fits(*picture) || write_picture(stream, *picture);
    const std::lock_guard lock(desk_.mutex);
    desk_.keep(std::move(picture));
    return written;
}

bool Call::write_picture(Stream& stream, const Picture& picture) {
    v1::StreamRequest request = request_of(picture);
    auto alpha = alpha_of(picture);
    {
        const std::lock_guard lock(desk_.mutex);
        Conversation& conversation = exchange_.conversation;
        request.mutable_frame()->set_frame_id(conversation.send(picture.captured_ns, now_ns(), std::move(alpha)));
        desk_.waiting_since_ns = conversation.waiting_since_ns();
    }
    return stream.Write(request);
}

// Whether the server would take a picture of this size; otherwise every frame would end the call.
bool Call::fits(const Picture& picture) {
    Limits limits;
    {
        const std::lock_guard lock(desk_.mutex);
        limits = exchange_.conversation.limits();
    }
    const auto [shorter, longer] = std::minmax(picture.width_px, picture.height_px);
    const bool good = shorter >= limits.min_side_px && longer <= limits.max_side_px &&
                      (options_.sends_jpeg() || picture.rgba.size() / 4 * 3 <= limits.max_frame_bytes);
    if (!good && !has_complained_) {
        listener_.log("a source of " + std::to_string(picture.width_px) + "x" + std::to_string(picture.height_px) +
                      " px cannot be styled: its sides must be " + std::to_string(limits.min_side_px) + " to " +
                      std::to_string(limits.max_side_px) + " px");
        has_complained_ = true;
    }
    return good;
}

v1::StreamRequest Call::request_of(const Picture& picture) {
    v1::StreamRequest request;
    v1::SourceFrame& frame = *request.mutable_frame();
    const auto captured_us = static_cast<std::int64_t>(picture.captured_ns / kNsPerUs);
    frame.set_width(picture.width_px);
    frame.set_height(picture.height_px);
    frame.set_pts(captured_us);
    frame.mutable_time_base()->set_numerator(1);
    frame.mutable_time_base()->set_denominator(kPtsHz);
    frame.set_capture_time_us(captured_us);
    frame.set_pixel_format(options_.sends_jpeg() ? v1::PIXEL_FORMAT_JPEG : v1::PIXEL_FORMAT_RGB24);
    frame.set_data(options_.sends_jpeg() ? jpeg_.encode(picture, kJpegQuality) : rgb24_of(picture));
    return request;
}

}  // namespace cmstream
