#include "simulator/device/settings.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <iterator>
#include <string>
#include <string_view>

#include "simulator/device/model.h"
#include "simulator/report/fault.h"

namespace sim {
namespace {

std::string_view variable(const char* name) {
  const char* value = std::getenv(name);
  return value ? value : "";
}

[[noreturn]] void refuse(std::string_view name, std::string_view value, std::string_view known) {
  refuse_setting(std::string(name) + " must be " + std::string(known) + "; got '" +
                 std::string(value) + "'");
}

template <class T>
void read_number(const char* name, T low, T high, const char* known, T& out) {
  const std::string_view text = variable(name);
  if (text.empty()) return;
  T value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value < low || value > high)
    refuse(name, text, known);
  out = value;
}

void read_choice(const char* name, std::string_view no, std::string_view yes, bool& out) {
  const std::string_view text = variable(name);
  if (text.empty()) return;
  if (text != no && text != yes) refuse(name, text, std::string(no) + " or " + std::string(yes));
  out = text == yes;
}

/// A mistyped name would pass for a check that found nothing.
void name_unknown_settings() {
  constexpr std::string_view kKnown[] = {"SIM_DEVICE",  "SIM_DEVICES", "SIM_CHECKS",
                                         "SIM_SEED",    "SIM_APPROX",  "SIM_NOTE_AFTER",
                                         "SIM_PROFILE", "SIM_SAMPLE",  "SIM_PTXAS"};
  for (char** entry = environ; *entry; ++entry) {
    const std::string_view text = *entry, name = text.substr(0, text.find('='));
    if (!name.starts_with("SIM_") || std::ranges::find(kKnown, name) != std::end(kKnown)) continue;
    std::string known;
    for (const auto k : kKnown) known += (known.empty() ? "" : ", ") + std::string(k);
    note(std::string(name) + " is no setting of the software GPU, which has " + known);
  }
}

/// Before hours are spent on what can't be written in the end.
void expect_folder(const std::string& file) {
  const std::filesystem::path path(file);
  const std::string folder = path.has_parent_path() ? path.parent_path().string() : ".";
  if (file.empty() || access(folder.c_str(), W_OK) == 0) return;
  refuse_setting("SIM_PROFILE: '" + file + "' cannot be written: " + std::strerror(errno));
}

void expect_program(const std::string& file) {
  std::error_code ignored;
  const bool folder = std::filesystem::is_directory(file, ignored);
  if (file.empty() || (!folder && access(file.c_str(), X_OK) == 0)) return;
  refuse_setting("SIM_PTXAS must be a program; '" + file + "' cannot be run");
}

Settings read_environment() {
  Settings s;
  if (auto text = variable("SIM_DEVICE"); !text.empty()) s.device = text;
  if (!find_model(s.device)) refuse("SIM_DEVICE", s.device, "one of " + known_models());
  read_number("SIM_DEVICES", 1, 16, "a number from 1 to 16", s.devices);
  read_number<uint64_t>("SIM_SEED", 0, ~uint64_t(0), "a whole number", s.seed);
  if (const auto text = variable("SIM_CHECKS"); text == "all")
    s.global_races = true;
  else if (text == "off")
    s.checks = false;
  else if (!text.empty() && text != "on")
    refuse("SIM_CHECKS", text, "on, off or all");
  read_choice("SIM_APPROX", "exact", "perturb", s.perturb);
  read_number("SIM_NOTE_AFTER", 0.0, 1e6, "a number of seconds", s.note_after);
  s.profile = variable("SIM_PROFILE");
  expect_folder(s.profile);
  read_number<uint64_t>("SIM_SAMPLE", 1, ~uint64_t(0), "a number of blocks, 1 or more", s.sample);
  s.ptxas = variable("SIM_PTXAS");
  expect_program(s.ptxas);
  name_unknown_settings();
  if (s.sample)
    note("SIM_SAMPLE: " + std::to_string(s.sample) +
         " blocks of each launch run and stand for all; results are wrong, and reads of what the "
         "others would have written are no faults");
  return s;
}

}  // namespace

void refuse_setting(const std::string& sentence) {
  std::fprintf(stderr, "sim: %s\n", sentence.c_str());
  std::fflush(stdout);
  _exit(2);
}

const Settings& settings() {
  static const Settings* const s = new Settings(read_environment());
  return *s;
}

}  // namespace sim
