// SPDX-License-Identifier: GPL-2.0-or-later
#include "label.h"

#include <algorithm>
#include <array>
#include <string_view>

namespace cmstream {

namespace {

constexpr std::uint32_t kGlyphWidthPx = 5;
constexpr std::uint32_t kGlyphHeightPx = 7;
constexpr std::uint32_t kAdvancePx = 6;
constexpr std::uint32_t kMarginPx = 2;
constexpr std::string_view kLetters = "0123456789msfp";

// Seven rows of five bits each, the leftmost bit the highest.
using Glyph = std::array<std::uint8_t, kGlyphHeightPx>;
constexpr std::array<Glyph, kLetters.size()> kGlyphs{{
    {0b01110, 0b10001, 0b10011, 0b10101, 0b11001, 0b10001, 0b01110},  // 0
    {0b00100, 0b01100, 0b00100, 0b00100, 0b00100, 0b00100, 0b01110},  // 1
    {0b01110, 0b10001, 0b00001, 0b00110, 0b01000, 0b10000, 0b11111},  // 2
    {0b01110, 0b10001, 0b00001, 0b00110, 0b00001, 0b10001, 0b01110},  // 3
    {0b00010, 0b00110, 0b01010, 0b10010, 0b11111, 0b00010, 0b00010},  // 4
    {0b11111, 0b10000, 0b11110, 0b00001, 0b00001, 0b10001, 0b01110},  // 5
    {0b00110, 0b01000, 0b10000, 0b11110, 0b10001, 0b10001, 0b01110},  // 6
    {0b11111, 0b00001, 0b00010, 0b00100, 0b01000, 0b01000, 0b01000},  // 7
    {0b01110, 0b10001, 0b10001, 0b01110, 0b10001, 0b10001, 0b01110},  // 8
    {0b01110, 0b10001, 0b10001, 0b01111, 0b00001, 0b00010, 0b01100},  // 9
    {0b00000, 0b00000, 0b11010, 0b10101, 0b10101, 0b10101, 0b10101},  // m
    {0b00000, 0b00000, 0b01111, 0b10000, 0b01110, 0b00001, 0b11110},  // s
    {0b00110, 0b01001, 0b01000, 0b11100, 0b01000, 0b01000, 0b01000},  // f
    {0b00000, 0b00000, 0b11110, 0b10001, 0b11110, 0b10000, 0b10000},  // p
}};

bool is_lit(char letter, std::uint32_t x, std::uint32_t y) {
    const std::size_t index = kLetters.find(letter);
    if (index == std::string_view::npos || x >= kGlyphWidthPx || y >= kGlyphHeightPx)
        return false;
    return (kGlyphs[index][y] >> (kGlyphWidthPx - 1 - x) & 1) != 0;
}

// Whether the label is white at this point, in pixels of the font, the margin included.
bool is_white(const std::string& text, std::uint32_t x, std::uint32_t y) {
    if (x < kMarginPx || y < kMarginPx)
        return false;
    const std::uint32_t column = (x - kMarginPx) / kAdvancePx;
    return column < text.size() && is_lit(text[column], (x - kMarginPx) % kAdvancePx, y - kMarginPx);
}

}  // namespace

void draw_label(Picture& picture, const std::string& text) {
    const std::uint32_t scale = std::max(1U, picture.height_px / 144);
    const auto letters = static_cast<std::uint32_t>(text.size());
    const std::uint32_t width = std::min(picture.width_px, scale * (letters * kAdvancePx + 2 * kMarginPx));
    const std::uint32_t height = std::min(picture.height_px, scale * (kGlyphHeightPx + 2 * kMarginPx));
    for (std::uint32_t y = 0; y < height; ++y) {
        auto* to = &picture.rgba[std::size_t{y} * picture.width_px * 4];
        for (std::uint32_t x = 0; x < width; ++x, to += 4) {
            const std::uint8_t level = is_white(text, x / scale, y / scale) ? 255 : 0;
            to[0] = to[1] = to[2] = level;
            to[3] = 255;
        }
    }
}

}  // namespace cmstream
