// Where a configuration comes from: TOML text, files that extend others, and --set on the command
// line.
#pragma once
#include <filesystem>
#include <span>
#include <string>
#include <string_view>

#include "framework/config/value.h"

namespace noisette::config {

/// Reads TOML text. `name` stands for the file in messages. Refuses what no configuration needs:
/// more than 256 KiB, dates and times, nesting deeper than 16.
Table parse_text(std::string_view text, const std::string& name);

/// Reads a TOML file. A top-level `extends = "base.toml"` (relative to the file that says so) reads
/// that file first; tables merge, everything else is replaced. A circle of files is an error that
/// lists the circle.
Table load_file(const std::filesystem::path& path);

/// Lays `over` upon `base`: tables merge, other values are replaced together with their place.
void merge(Table& base, Table over);

/// Applies one `--set a.b=value`. The value is TOML; what is not TOML and begins like a word or a
/// path is a string.
void apply_override(Table& table, std::string_view assignment);

}  // namespace noisette::config
