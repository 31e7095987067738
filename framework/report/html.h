#pragma once
#include <string>
#include <string_view>

namespace noisette {

/// Text for HTML content and quoted attributes: & < > " ' become references; control characters and
/// bytes that are not UTF-8 become the replacement character.
std::string html_escape(std::string_view text);

/// RFC 4648 base 64 with padding.
std::string base64(std::string_view bytes);

/// <img> with the PNG inside and its size as attributes; `attributes` is put in as it is. Throws
/// Error on another format.
std::string png_img(std::string_view png, std::string_view alt, std::string_view attributes = "");

}  // namespace noisette
