// Runs CUDA programs, compiled by nvcc as a user would, on the software GPU: tests/device/*.cu
// judge themselves and exit with 0, and print what their .expected holds where there is one;
// tests/device/checks/*.cu trip a check when they are told "bad" and have a twin that must not,
// "good". The first line of such a file says the kind of fault: // expects: out of bounds
// Lines that end with // named must be in the report.
// tests/device/streams/*.cu forget to order their streams when they are told "bad": under some seed
// that is reported or their result is wrong; with "good" never.
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>
#include <string>
#include <vector>

namespace {

constexpr int kFaultExit = 86;

std::vector<std::string> names(const char* list) {
  std::vector<std::string> out;
  std::istringstream in(list);
  for (std::string name; std::getline(in, name, ',');)
    if (!name.empty()) out.push_back(name);
  return out;
}

struct Outcome {
  int exit_code = -1;
  std::string output;
};

/// Runs a program with the software GPU first in the library path; `settings` are of the
/// environment.
Outcome run(const std::string& program, const std::string& argument,
            const std::string& settings = "") {
  const std::string command = "LD_LIBRARY_PATH='" SIM_LIBRARY_FOLDER "' " SIM_PRELOAD + settings +
                              " timeout 300 '" + SIM_PROGRAM_FOLDER "/" + program + "' " +
                              argument + " 2>&1";
  Outcome o;
  FILE* pipe = popen(command.c_str(), "r");
  if (!pipe) return o;
  std::array<char, 4096> buffer;
  for (size_t n; (n = fread(buffer.data(), 1, buffer.size(), pipe)) > 0;)
    o.output.append(buffer.data(), n);
  const int status = pclose(pipe);
  if (WIFEXITED(status)) o.exit_code = WEXITSTATUS(status);
  return o;
}

/// What a check's program says of itself behind such a mark, in its first two lines.
std::string said(const std::string& check, const std::string& mark) {
  std::ifstream in(std::string(SIM_SOURCE_FOLDER "/device/checks/") + check + ".cu");
  for (int k = 0; k < 2; ++k) {
    std::string line;
    std::getline(in, line);
    if (line.starts_with("// " + mark + ": ")) return line.substr(mark.size() + 5);
  }
  return "";
}

/// The lines that end so, // named, which the report names: "a.cu:12".
std::vector<std::string> named_lines(const std::string& check) {
  std::ifstream in(std::string(SIM_SOURCE_FOLDER "/device/checks/") + check + ".cu");
  std::vector<std::string> lines;
  std::string line;
  for (int number = 1; std::getline(in, line); ++number)
    if (line.ends_with("  // named")) lines.push_back(check + ".cu:" + std::to_string(number));
  return lines;
}

class Device : public testing::TestWithParam<std::string> {};
class Order : public testing::TestWithParam<std::string> {};
class Check : public testing::TestWithParam<std::string> {};

TEST_P(Device, ComputesWhatTheHostDoes) {
  const Outcome o = run("device_" + GetParam(), "");
  EXPECT_EQ(o.exit_code, 0) << o.output;
  std::ifstream expected(SIM_SOURCE_FOLDER "/device/" + GetParam() + ".expected");
  if (!expected) return;
  const std::string text(std::istreambuf_iterator<char>(expected), {});
  EXPECT_EQ(o.output, text);
}

TEST_P(Device, SeedsAndPerturbedApproximationsChangeNothing) {
  const Outcome o = run("device_" + GetParam(), "", "SIM_SEED=7 SIM_APPROX=perturb");
  EXPECT_EQ(o.exit_code, 0) << o.output;
}

TEST_P(Device, WithoutChecksToo) {
  const Outcome o = run("device_" + GetParam(), "", "SIM_CHECKS=off");
  EXPECT_EQ(o.exit_code, 0) << o.output;
}

/// The kernel does not run, as on a card that has no code for it, and a sentence says what to do.
void expect_refused(const std::string& program, const std::string& sentence) {
  const Outcome o = run(program, "");
  EXPECT_EQ(o.exit_code, 0) << o.output;
  EXPECT_NE(o.output.find("no kernel image is available"), o.output.npos) << o.output;
  EXPECT_NE(o.output.find(sentence), o.output.npos) << o.output;
}

TEST(Refused, MachineCode) {
  expect_refused("refused_machine_code", "compile with -gencode arch=compute_80,code=compute_80");
}

TEST(Refused, RelocatableCode) {
  expect_refused("refused_relocatable",
                 "compile it without -rdc; kernels that launch kernels, which need it, are not");
}

/// Of a program that is right, with settings that are not.
TEST(Settings, ThatNobodyKnowsAreNoted) {
  const Outcome o = run("check_leak", "good", "SIM_CHEKCS=all");
  EXPECT_EQ(o.exit_code, 0) << o.output;
  EXPECT_NE(o.output.find("note: SIM_CHEKCS is no setting of the software GPU"), o.output.npos)
      << o.output;
}
TEST(Settings, FilesThatCannotBeAreRefusedAtOnce) {
  for (const std::string setting :
       {"SIM_PROFILE=/nonexistent/x.json", "SIM_PTXAS=/nonexistent", "SIM_PTXAS=/tmp"}) {
    const Outcome o = run("check_leak", "good", setting);
    EXPECT_EQ(o.exit_code, 2) << o.output;
    EXPECT_NE(o.output.find(setting.substr(0, setting.find('='))), o.output.npos) << o.output;
  }
}

constexpr int kSeeds = 16;

std::string seed(int n) { return "SIM_SEED=" + std::to_string(n); }

TEST_P(Check, Trips) {
  const std::string kind = said(GetParam(), "expects");
  ASSERT_FALSE(kind.empty()) << "the first line of the file says: // expects: KIND";
  for (const int n : {0, 1, 2, 3}) {
    const Outcome o =
        run("check_" + GetParam(), "bad", said(GetParam(), "environment") + " " + seed(n));
    EXPECT_EQ(o.exit_code, kFaultExit) << o.output;
    EXPECT_NE(o.output.find("sim: " + kind), o.output.npos) << o.output;
    for (const std::string& line : named_lines(GetParam()))
      EXPECT_NE(o.output.find(line), o.output.npos) << line << "\n" << o.output;
  }
}

TEST_P(Check, LeavesItsTwinAlone) {
  for (int n = 0; n <= kSeeds; ++n) {
    const Outcome o =
        run("check_" + GetParam(), "good", said(GetParam(), "environment") + " " + seed(n));
    EXPECT_EQ(o.exit_code, 0) << seed(n) << "\n" << o.output;
  }
}

TEST(Slow, KernelsSayWhereTheyStand) {
  const Outcome o = run("slow", "", "SIM_NOTE_AFTER=1");
  EXPECT_EQ(o.exit_code, 0) << o.output;
  const std::string text = "sim: note: no block of wait(int volatile*) has begun or ended for 1 s";
  EXPECT_NE(o.output.find(text), o.output.npos) << o.output;
  EXPECT_NE(o.output.find("ld.volatile.global.u32"), o.output.npos) << o.output;
}

TEST(Slow, WaitsAtMbarriersSayWhatIsMissing) {
  const Outcome o = run("slow", "mbarrier", "SIM_NOTE_AFTER=1");
  EXPECT_EQ(o.exit_code, 0) << o.output;
  for (const char* text : {"\n  warps 0 to 2, all lanes: at ",
                           "; asked in vain for the end of the phase of parity 0 of the mbarrier "
                           "at 0x0 of shared memory: "
                           "1 of 128 arrivals and 0 bytes of copies are missing"})
    EXPECT_NE(o.output.find(text), o.output.npos) << o.output;
}

TEST_P(Order, MistakeShowsUnderSomeSeed) {
  int right = 0;
  std::string outputs;
  for (int n = 1; n <= kSeeds; n++) {
    const Outcome o = run("stream_" + GetParam(), "bad", seed(n));
    ASSERT_TRUE(o.exit_code == 0 || o.exit_code == 1 || o.exit_code == kFaultExit) << o.output;
    right += o.exit_code == 0;
    outputs += o.output;
  }
  EXPECT_LT(right, kSeeds) << outputs;
}

/// Work runs as late as may be, so only what must not come early goes unseen.
TEST_P(Order, MistakeShowsWithoutASeed) {
  const Outcome o = run("stream_" + GetParam(), "bad");
  const bool early = GetParam().ends_with("_late");
  EXPECT_EQ(o.exit_code == 0, early) << o.output;
}

TEST_P(Order, RightProgramIsRightUnderEverySeed) {
  for (int n = 0; n <= kSeeds; n++) {
    const Outcome o = run("stream_" + GetParam(), "good", seed(n));
    EXPECT_EQ(o.exit_code, 0) << seed(n) << "\n" << o.output;
  }
}

const auto name_of = [](const auto& info) { return info.param; };
INSTANTIATE_TEST_SUITE_P(Programs, Device, testing::ValuesIn(names(SIM_PROGRAMS)), name_of);
INSTANTIATE_TEST_SUITE_P(Programs, Order, testing::ValuesIn(names(SIM_STREAMS)), name_of);
INSTANTIATE_TEST_SUITE_P(Programs, Check, testing::ValuesIn(names(SIM_CHECKS)), name_of);
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(Check);

}  // namespace
