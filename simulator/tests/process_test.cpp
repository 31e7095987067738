// Programs that end, fork or use threads in ways of their own, and libraries with kernels in a
// program without: process/*.cu.
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <array>
#include <csignal>
#include <cstdio>
#include <string>

namespace {

struct Outcome {
  int exit_code = -1;
  std::string output;
};

Outcome run(const std::string& program, const std::string& settings = "") {
  // exec: the code of a program that a signal ended is seen as a shell's, 128 + its number
  const std::string command = "LD_LIBRARY_PATH='" SIM_LIBRARY_FOLDER "' " SIM_PRELOAD + settings +
                              " timeout 100 " + program + " 2>&1; exit $?";
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

Outcome process(const std::string& mode) { return run("'" SIM_PROGRAM_FOLDER "/process' " + mode); }

Outcome polling(const std::string& mode, const std::string& settings = "") {
  return run("'" SIM_PROGRAM_FOLDER "/polling' " + mode, settings);
}

Outcome host(const std::string& mode) {
  return run("'" SIM_HOST "' " + mode +
             " '" SIM_PROGRAM_FOLDER "/extension1' '" SIM_PROGRAM_FOLDER "/extension2'");
}

size_t count(const std::string& text, const std::string& part) {
  size_t n = 0;
  for (size_t at = text.find(part); at != text.npos; at = text.find(part, at + 1)) n++;
  return n;
}

/// One whole report, and the program is over.
void expect_report(const std::string& mode, const std::string& kind, const std::string& last) {
  const Outcome o = process(mode);
  EXPECT_EQ(o.exit_code, 86) << o.output;
  EXPECT_EQ(count(o.output, "sim: "), 1u) << o.output;
  EXPECT_TRUE(o.output.starts_with("sim: " + kind)) << o.output;
  EXPECT_NE(o.output.find(last), o.output.npos) << o.output;
  EXPECT_TRUE(o.output.ends_with("\n")) << o.output;
}

void expect(const std::string& mode, int exit_code, const std::string& part) {
  const Outcome o = process(mode);
  EXPECT_EQ(o.exit_code, exit_code) << mode << "\n" << o.output;
  EXPECT_EQ(o.output.find("leak") != o.output.npos, part == "sim: leak") << mode << "\n"
                                                                         << o.output;
  EXPECT_NE(o.output.find(part), o.output.npos) << mode << "\n" << o.output;
}

TEST(Process, Forks) {
  expect("fork_before", 0, "");
  expect("fork_after", 0, "");
}

TEST(Process, ManyThreadsWithTheirOwnStreams) { expect("threads", 0, ""); }

TEST(Process, DestructorsMayUseAllOfIt) { expect("destructor", 0, "the destructor got 8"); }

/// Only of a program that ended well are leaks told.
TEST(Process, Ends) {
  expect("return", 86, "sim: leak");
  expect("exit", 86, "sim: leak");
  expect("return_error", 3, "");
  expect("exit_error", 3, "");
  expect("quick_exit", 4, "");
  expect("_exit", 5, "");
  expect("abort", 128 + SIGABRT, "");
  expect("throw", 128 + SIGABRT, "thrown");
}

TEST(Process, ReportsOnceAndWhole) {
  for (int k = 0; k < 5; k++) {
    expect_report("fault_in_threads", "out of bounds", "PTX line");
    expect_report("touch_in_threads", "host access to device memory", "Copy it with cudaMemcpy");
  }
  expect_report("fault_in_graph", "out of bounds", "PTX line");
  expect_report("fault_in_callback", "host access to device memory", "Copy it with cudaMemcpy");
  expect_report("fault_at_exit", "out of bounds", "PTX line");
}

void expect_polling(const std::string& mode, int exit_code, const std::string& output) {
  const Outcome o = polling(mode);
  EXPECT_EQ(o.exit_code, exit_code) << mode << "\n" << o.output;
  EXPECT_EQ(o.output, output) << mode;
}

TEST(Polling, Queries) { expect_polling("query", 0, ""); }

/// Early or late, the kernel runs beside the program.
TEST(Polling, QueriesUnderSeeds) {
  for (const int seed : {1, 2, 3}) {
    const Outcome o = polling("query", "SIM_SEED=" + std::to_string(seed));
    EXPECT_EQ(o.exit_code, 0) << seed << "\n" << o.output;
  }
}

TEST(Polling, ThroughMemory) {
  for (const char* seed : {"", "SIM_SEED=1"}) {
    const Outcome o = polling("memory", seed);
    EXPECT_EQ(o.exit_code, 0) << seed << "\n" << o.output;
    EXPECT_EQ(count(o.output, "sim: note: work has waited for 2 s"), 1u) << seed << "\n"
                                                                         << o.output;
  }
}

TEST(Polling, FaultsStopTheProgram) {
  const Outcome o = polling("fault");
  EXPECT_EQ(o.exit_code, 86) << o.output;
  EXPECT_TRUE(o.output.starts_with("sim: out of bounds")) << o.output;
  EXPECT_EQ(count(o.output, "sim: "), 1u) << o.output;
}

TEST(Polling, EndsWhileAKernelRuns) {
  expect_polling("end_at_once", 5, "");
  expect_polling("exit_error", 3, "");
  expect_polling("fork", 0, "");
  expect_polling("destructor", 0, "the kernel wrote 1\n");
  const Outcome o = polling("leak");
  EXPECT_EQ(o.exit_code, 86) << o.output;
  EXPECT_TRUE(o.output.starts_with("sim: leak: 4 bytes")) << o.output;
}

TEST(Process, LibrariesWithKernels) {
  for (const char* mode : {"keep", "close", "global"}) {
    const Outcome o = host(mode);
    EXPECT_EQ(o.exit_code, 0) << mode << "\n" << o.output;
    EXPECT_EQ(o.output, "1001 1002 1002\n") << mode;
  }
  const Outcome leaks = host("leak");
  EXPECT_EQ(leaks.exit_code, 86) << leaks.output;
  EXPECT_NE(leaks.output.find("sim: leak: 4 bytes"), leaks.output.npos) << leaks.output;
}

}  // namespace
