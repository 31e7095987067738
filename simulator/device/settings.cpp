#include "simulator/device/settings.h"

#include <unistd.h>

#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <string_view>

#include "simulator/device/model.h"

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
  read_number<uint64_t>("SIM_SAMPLE", 1, ~uint64_t(0), "a number of blocks, 1 or more", s.sample);
  s.ptxas = variable("SIM_PTXAS");
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
