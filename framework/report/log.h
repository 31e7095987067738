#pragma once
#include <filesystem>
#include <string_view>

namespace noisette {

/// Sets up spdlog's default logger for a program: messages of `level` ("debug", "info", "warn",
/// "error") and above go to console() above the progress bar, the level named only where it is a
/// warning or an error. With a log file, the same messages are appended there with date and level.
void set_up_log(std::string_view level = "info", const std::filesystem::path& file = {});

}  // namespace noisette
