#include "framework/report/sysinfo.h"

#include <fmt/format.h>
#include <hdf5.h>
#include <omp.h>
#include <oneapi/dnnl/dnnl_version.h>
#include <png.h>
#include <sched.h>
#include <spdlog/version.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <oneapi/dnnl/dnnl.hpp>
#include <sstream>

#include "framework/report/table.h"

namespace noisette {
namespace {

using Rows = std::vector<std::pair<std::string, std::string>>;

std::string trimmed(std::string s) {
  s.erase(0, s.find_first_not_of(" \t\""));
  s.erase(s.find_last_not_of(" \t\"\n") + 1);
  return s;
}

/// The value of the first line "key<separator>value" of a file; empty when there is none.
std::string value_in(const char* path, std::string_view key, char separator) {
  std::ifstream in(path);
  for (std::string line; std::getline(in, line);) {
    const std::size_t at = line.find(separator);
    if (at != std::string::npos && trimmed(line.substr(0, at)) == key)
      return trimmed(line.substr(at + 1));
  }
  return {};
}

std::vector<std::string> flags_present() {
  std::istringstream words(value_in("/proc/cpuinfo", "flags", ':'));
  const std::vector<std::string> all{std::istream_iterator<std::string>(words), {}};
  std::vector<std::string> present;
  for (const char* flag : {"avx2", "fma", "avx512f", "avx512bw", "avx512_vnni", "avx512_bf16",
                           "avx512_fp16", "amx_tile", "amx_bf16", "amx_int8"})
    if (std::find(all.begin(), all.end(), flag) != all.end()) present.emplace_back(flag);
  return present;
}

int usable_cores() {
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) == 0) return CPU_COUNT(&set);
  return int(sysconf(_SC_NPROCESSORS_ONLN));
}

std::string compiler() {
#if defined(__clang__)
  return fmt::format("clang {}.{}.{}", __clang_major__, __clang_minor__, __clang_patchlevel__);
#else
  return fmt::format("g++ {}.{}.{}", __GNUC__, __GNUC_MINOR__, __GNUC_PATCHLEVEL__);
#endif
}

std::string built_for() {
  std::string sets;
#ifdef __AVX2__
  sets += "avx2 ";
#endif
#ifdef __FMA__
  sets += "fma ";
#endif
#ifdef __AVX512F__
  sets += "avx512f ";
#endif
#ifdef __AVX512BF16__
  sets += "avx512_bf16 ";
#endif
  return sets.empty() ? "baseline" : trimmed(sets);
}

Rows libraries() {
  const dnnl_version_t* d = dnnl_version();
  unsigned major = 0, minor = 0, release = 0;
  H5get_libversion(&major, &minor, &release);
  return {
      {"oneDNN", fmt::format("{}.{}.{}", d->major, d->minor, d->patch)},
      {"HDF5", fmt::format("{}.{}.{}", major, minor, release)},
      {"libpng", png_get_libpng_ver(nullptr)},
      {"fmt",
       fmt::format("{}.{}.{}", FMT_VERSION / 10000, FMT_VERSION / 100 % 100, FMT_VERSION % 100)},
      {"spdlog", fmt::format("{}.{}.{}", SPDLOG_VER_MAJOR, SPDLOG_VER_MINOR, SPDLOG_VER_PATCH)}};
}

std::string or_unknown(std::string s) { return s.empty() ? "unknown" : s; }

}  // namespace

SystemInfo system_info() {
  SystemInfo s;
  s.cpu = or_unknown(value_in("/proc/cpuinfo", "model name", ':'));
  s.cpu_flags = flags_present();
  s.cores = usable_cores();
  s.threads = omp_get_max_threads();
  s.memory_bytes = double(sysconf(_SC_PHYS_PAGES)) * double(sysconf(_SC_PAGE_SIZE));
  s.os = or_unknown(value_in("/etc/os-release", "PRETTY_NAME", '='));
  utsname name{};
  if (uname(&name) == 0) s.kernel = fmt::format("{} {}", name.sysname, name.release);
  s.compiler = compiler();
  s.built_for = built_for();
  s.libraries = libraries();
  return s;
}

Rows machine_rows(const SystemInfo& s) {
  return {{"processor", s.cpu},
          {"instruction sets", or_unknown(fmt::format("{}", fmt::join(s.cpu_flags, " ")))},
          {"logical cores", fmt::format("{}", s.cores)},
          {"threads", fmt::format("{}", s.threads)},
          {"memory", format_bytes(s.memory_bytes)},
          {"system", s.os},
          {"kernel", s.kernel}};
}

Rows version_rows(const SystemInfo& s) {
  Rows rows = {{"compiler", s.compiler}, {"compiled for", s.built_for}};
  rows.insert(rows.end(), s.libraries.begin(), s.libraries.end());
  return rows;
}

}  // namespace noisette
