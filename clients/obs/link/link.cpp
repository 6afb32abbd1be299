// SPDX-License-Identifier: GPL-2.0-or-later
#include "link.h"

#include <chrono>

#include "call.h"

namespace cmstream {

namespace {

constexpr std::chrono::milliseconds kTypingPause{300};

}  // namespace

Link::Link(Options options, Listener listener)
    : listener_(std::move(listener)), backoff_(static_cast<std::uint_fast32_t>(now_ns())) {
    desk_.status.text = "connecting to " + options.address;
    desk_.options = std::move(options);
    worker_ = std::thread([this] { work(); });
}

Link::~Link() {
    {
        const std::lock_guard lock(desk_.mutex);
        desk_.is_stopping = true;
        if (desk_.cancel)
            desk_.cancel();
        desk_.changed.notify_all();
    }
    worker_.join();
}

void Link::configure(const Options& options) {
    const std::lock_guard lock(desk_.mutex);
    const bool needs_other_call = desk_.options.needs_other_call(options);
    desk_.options = options;
    if (needs_other_call && desk_.cancel)
        desk_.cancel();
    desk_.changed.notify_all();
}

Status Link::status() const {
    const std::lock_guard lock(desk_.mutex);
    return desk_.status;
}

double Link::delay_ms() const {
    const std::lock_guard lock(desk_.mutex);
    return desk_.delay_ms;
}

double Link::rate_hz() const {
    const std::lock_guard lock(desk_.mutex);
    return desk_.rate_hz;
}

std::unique_ptr<Picture> Link::blank() {
    const std::unique_lock lock(desk_.mutex, std::try_to_lock);
    return lock.owns_lock() ? desk_.blank() : nullptr;
}

void Link::offer(std::unique_ptr<Picture> picture) {
    const std::unique_lock lock(desk_.mutex, std::try_to_lock);
    if (!lock.owns_lock() || !desk_.is_open)
        return;
    desk_.keep(std::move(desk_.source));
    desk_.source = std::move(picture);
    desk_.changed.notify_all();
}

View Link::look() {
    View view;
    const std::unique_lock lock(desk_.mutex, std::try_to_lock);
    if (lock.owns_lock()) {
        if (was_open_ && !desk_.is_open)
            meter_.reset();
        was_open_ = desk_.is_open;
        was_stalled_ = desk_.waiting_since_ns != 0 && now_ns() - desk_.waiting_since_ns > kStalledAfterNs;
        working_size_px_ = desk_.working_size_px;
        view.styled = std::move(desk_.styled);
    }
    view.working_size_px = working_size_px_;
    view.is_open = was_open_;
    view.is_stalled = was_stalled_;
    return view;
}

void Link::shown(std::unique_ptr<Picture> picture) {
    meter_.shown(picture->captured_ns, now_ns());
    const std::unique_lock lock(desk_.mutex, std::try_to_lock);
    if (!lock.owns_lock())
        return;
    desk_.delay_ms = meter_.delay_ms();
    desk_.rate_hz = meter_.rate_hz();
    desk_.keep(std::move(picture));
}

void Link::work() {
    for (;;) {
        Options options;
        {
            const std::lock_guard lock(desk_.mutex);
            if (desk_.is_stopping)
                return;
            options = desk_.options;
        }
        settle(options, attempt(options));
        pause(options);
    }
}

std::string Link::attempt(const Options& options) {
    try {
        return Call(desk_, options, listener_).run();
    } catch (const std::exception& error) {  // what it takes to make a call is not to be had
        return error.what();
    }
}

// A call is over: nothing of it is shown any more. Says why, once for as long as the reason is the same.
void Link::settle(const Options& options, std::string ending) {
    {
        const std::lock_guard lock(desk_.mutex);
        if (desk_.is_open) {
            backoff_.reset();
            last_ending_.clear();
        }
        const bool was_wanted = desk_.is_stopping || desk_.options.needs_other_call(options);
        if (was_wanted)
            ending = "connecting to " + desk_.options.address;
        desk_.is_open = false;
        desk_.waiting_since_ns = 0;
        desk_.keep(std::move(desk_.source));
        desk_.keep(std::move(desk_.styled));
        desk_.delay_ms = desk_.rate_hz = 0;
        desk_.status.is_connected = false;
        desk_.status.text = ending;
        if (was_wanted || ending == last_ending_)
            return;
        last_ending_ = ending;
    }
    listener_.log("passing the source through, and trying again: " + ending);
    listener_.status_changed();
}

// Until the next attempt: the back-off, or until whoever types an address has paused.
void Link::pause(const Options& options) {
    std::unique_lock lock(desk_.mutex);
    desk_.changed.wait_for(lock, backoff_.next(),
                           [&] { return desk_.is_stopping || desk_.options.needs_other_call(options); });
    while (!desk_.is_stopping && desk_.options.needs_other_call(options)) {
        backoff_.reset();
        const Options typed = desk_.options;
        const bool more = desk_.changed.wait_for(
            lock, kTypingPause, [&] { return desk_.is_stopping || desk_.options.needs_other_call(typed); });
        if (!more)
            return;
    }
}

}  // namespace cmstream
