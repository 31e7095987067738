// What the environment asks for. Read once; every part takes it from here.
#pragma once
#include <cstdint>
#include <string>

namespace sim {

struct Settings {
  std::string device = "h100";  // SIM_DEVICE
  int devices = 1;              // SIM_DEVICES
  uint64_t seed = 0;            // SIM_SEED; 0: the order is fixed, as late as may be
  bool checks = true;           // SIM_CHECKS=on|off|all
  bool global_races = false;    // all
  bool perturb = false;         // SIM_APPROX=exact|perturb
  double note_after = 60;       // SIM_NOTE_AFTER: seconds; 0: never
  std::string profile;          // SIM_PROFILE: a file; empty: none is written
  uint64_t sample = 0;          // SIM_SAMPLE: so many blocks of each launch run; 0: all
  std::string ptxas;  // SIM_PTXAS: the toolkit's assembler; empty: the one of the build, or PATH
};

/// Ends the program with exit code 2 and one sentence for a value that is not known.
const Settings& settings();

/// Prints the sentence and ends the program with exit code 2.
[[noreturn]] void refuse_setting(const std::string& sentence);

}  // namespace sim
