// What a run ran on: for the start table, the run folder and the report.
#pragma once
#include <string>
#include <utility>
#include <vector>

namespace noisette {

struct SystemInfo {
  std::string cpu;  // model name as the processor gives it
  std::vector<std::string>
      cpu_flags;    // of avx2, fma, avx512f, avx512_bf16, amx_bf16, amx_int8, ...: those present
  int cores = 0;    // logical processors that this process may use
  int threads = 0;  // that OpenMP will use
  double memory_bytes = 0;  // of the machine
  std::string os, kernel;
  std::string compiler;   // with version
  std::string built_for;  // instruction sets that the binary was compiled to: "avx512f avx512bf16"
  std::vector<std::pair<std::string, std::string>> libraries;  // name, version that is loaded
};

SystemInfo system_info();

/// The same as rows of name and value, for tables: first the machine, then the software.
std::vector<std::pair<std::string, std::string>> machine_rows(const SystemInfo& s);
std::vector<std::pair<std::string, std::string>> version_rows(const SystemInfo& s);

}  // namespace noisette
