// SPDX-License-Identifier: GPL-2.0-or-later
#include "jpeg.h"

#include <turbojpeg.h>

#include <stdexcept>

namespace cmstream {

namespace {

const unsigned char* bytes_of(const std::string& file) { return reinterpret_cast<const unsigned char*>(file.data()); }

struct Freed {
    void operator()(unsigned char* bytes) const { tjFree(bytes); }
};

[[noreturn]] void fail(void* codec, const char* what) {
    throw std::runtime_error(std::string(what) + ": " + tjGetErrorStr2(codec));
}

}  // namespace

void Jpeg::Destroyed::operator()(void* codec) const { tjDestroy(codec); }

Jpeg::Jpeg() : encoder_(tjInitCompress()), decoder_(tjInitDecompress()) {
    if (encoder_ == nullptr || decoder_ == nullptr)
        throw std::runtime_error("libturbojpeg cannot be set up: out of memory");
}

std::string Jpeg::encode(const Picture& picture, int quality) {
    unsigned char* bytes = nullptr;
    unsigned long length = 0;
    const int failed = tjCompress2(encoder_.get(), picture.rgba.data(), static_cast<int>(picture.width_px), 0,
                                   static_cast<int>(picture.height_px), TJPF_RGBX, &bytes, &length, TJSAMP_420, quality,
                                   TJFLAG_FASTDCT);
    const std::unique_ptr<unsigned char, Freed> owned(bytes);
    if (failed != 0)
        fail(encoder_.get(), "the picture cannot be made a JPEG");
    return {reinterpret_cast<const char*>(bytes), length};
}

void Jpeg::decode(const std::string& file, std::uint32_t max_side_px, Picture& picture) {
    int width = 0;
    int height = 0;
    int subsampling = 0;
    int colours = 0;
    if (tjDecompressHeader3(decoder_.get(), bytes_of(file), file.size(), &width, &height, &subsampling, &colours) != 0)
        fail(decoder_.get(), "the server's JPEG is damaged");
    const int most = static_cast<int>(max_side_px);
    if (width < 1 || height < 1 || width > most || height > most)
        throw std::runtime_error("the server's JPEG is of a size that nobody asked for");
    picture.resize(static_cast<std::uint32_t>(width), static_cast<std::uint32_t>(height));
    if (tjDecompress2(decoder_.get(), bytes_of(file), file.size(), picture.rgba.data(), width, 0, height, TJPF_RGBA,
                      0) != 0)
        fail(decoder_.get(), "the server's JPEG is damaged");
}

}  // namespace cmstream
