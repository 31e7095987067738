// What the toolkit's assembler says of every kernel that a program carries as PTX: registers, and
// bytes that do not find room in them.
//
//   simulator_registers PROGRAM [ARCH...]     80 90 where none is named
//
// Prints a row for each kernel that spills. Exit status: 0 where none does, 1 where one does, 2
// where the program cannot be read or assembled.
#include <elf.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <iterator>
#include <mutex>
#include <span>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "simulator/container/fatbin.h"
#include "simulator/profile/ptxas.h"

namespace {

using Bytes = std::span<const uint8_t>;

std::vector<uint8_t> bytes_of(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) throw std::runtime_error(path + " cannot be read");
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

template <class T>
T at(Bytes bytes, uint64_t offset) {
  if (offset > bytes.size() || bytes.size() - offset < sizeof(T))
    throw std::runtime_error("the program ends within a header");
  T value;
  std::memcpy(&value, bytes.data() + offset, sizeof(T));
  return value;
}

Bytes part(Bytes bytes, uint64_t offset, uint64_t size) {
  if (offset > bytes.size() || bytes.size() - offset < size)
    throw std::runtime_error("the program ends within a section");
  return bytes.subspan(offset, size);
}

/// The section in which nvcc puts containers, one behind the other; empty where there is none.
Bytes containers_of(Bytes program) {
  const auto header = at<Elf64_Ehdr>(program, 0);
  if (std::memcmp(header.e_ident, ELFMAG, SELFMAG) != 0 || header.e_ident[EI_CLASS] != ELFCLASS64)
    throw std::runtime_error("not a program of 64 bits");
  const auto section = [&](uint64_t i) {
    return at<Elf64_Shdr>(program, header.e_shoff + i * sizeof(Elf64_Shdr));
  };
  const auto names = section(header.e_shstrndx);
  for (uint64_t i = 0; i < header.e_shnum; ++i) {
    const auto s = section(i);
    const Bytes name = part(program, names.sh_offset + s.sh_name, sizeof(".nv_fatbin"));
    if (std::memcmp(name.data(), ".nv_fatbin", name.size()) == 0)
      return part(program, s.sh_offset, s.sh_size);
  }
  return {};
}

struct Header {
  uint32_t magic;
  uint16_t version, header_bytes;
  uint64_t bytes;
};

/// The PTX for the smallest architecture of every container: others are made from the same source.
std::vector<std::string> modules_of(Bytes program) {
  std::vector<std::string> all;
  const Bytes section = containers_of(program);
  for (uint64_t from = 0; from + sizeof(Header) <= section.size();) {
    const auto header = at<Header>(section, from);
    if (header.magic != 0xba55ed50) {  // padding
      from += 8;
      continue;
    }
    const uint64_t size = header.header_bytes + header.bytes;
    auto images = sim::ptx_images(part(section, from, size));
    all.push_back(std::min_element(images.begin(), images.end(), [](const auto& a, const auto& b) {
                    return a.arch < b.arch;
                  })->text);
    from += size;
  }
  if (all.empty()) throw std::runtime_error("the program carries no PTX");
  return all;
}

/// Assembles all modules for all architectures, as many at once as there are processors.
int report(const std::vector<std::string>& modules, const std::vector<int>& archs) {
  std::atomic<std::size_t> next = 0;
  std::mutex printing;
  std::size_t kernels = 0, spilling = 0;
  std::string failed;
  const auto work = [&] {
    for (std::size_t i; (i = next++) < modules.size() * archs.size();) {
      const int arch = archs[i % archs.size()];
      const sim::AssembledModule m = sim::assemble_module(modules[i / archs.size()], arch);
      const std::lock_guard lock(printing);
      if (!m.failed.empty()) failed = m.failed;
      if (m.failed.empty() && m.kernels.empty())
        failed = "ptxas says nothing of a module's kernels";
      for (const auto& [name, figures] : m.kernels) {
        ++kernels;
        if (figures.registers == 0) failed = "ptxas says nothing of the registers of " + name;
        if (figures.spill_stores + figures.spill_loads == 0) continue;
        ++spilling;
        std::printf("sm_%d: %u registers, %llu bytes spilled: %s\n", arch, figures.registers,
                    static_cast<unsigned long long>(figures.spill_stores), name.c_str());
      }
    }
  };
  std::vector<std::thread> threads;
  for (unsigned i = 0; i < std::max(1u, std::thread::hardware_concurrency()); ++i)
    threads.emplace_back(work);
  for (std::thread& t : threads) t.join();
  if (!failed.empty()) throw std::runtime_error(failed);
  std::printf("%zu of %zu kernels spill\n", spilling, kernels);
  return spilling > 0 ? 1 : 0;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    if (argc < 2) throw std::runtime_error("usage: simulator_registers PROGRAM [ARCH...]");
    std::vector<int> archs;
    for (int i = 2; i < argc; ++i) archs.push_back(std::stoi(argv[i]));
    if (archs.empty()) archs = {80, 90};
    const std::vector<uint8_t> program = bytes_of(argv[1]);
    return report(modules_of(program), archs);
  } catch (const std::exception& e) {
    std::fprintf(stderr, "simulator_registers: %s\n", e.what());
    return 2;
  }
}
