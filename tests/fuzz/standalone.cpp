// Runs a fuzz target where libFuzzer is missing (g++): every file named on the command line or
// below a folder named there, then mutations of them for as long as asked.   fuzz_NAME [-seconds=N]
// [-seed=N] FILE_OR_FOLDER...
#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

namespace {

namespace fs = std::filesystem;
using Bytes = std::vector<uint8_t>;

Bytes read(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  return Bytes(std::istreambuf_iterator<char>(in), {});
}

/// A copy of the exact size, so that the sanitizer sees the first byte read past the end.
void run(const Bytes& input) {
  const Bytes exact(input);
  LLVMFuzzerTestOneInput(exact.data(), exact.size());
}

Bytes mutate(Bytes b, const std::vector<Bytes>& seeds, std::mt19937_64& random) {
  const auto below = [&](size_t n) { return n ? size_t(random() % n) : 0; };
  static const uint8_t kOdd[] = {0, 1, 0x7f, 0x80, 0xff, '"', '{', '}', '[', ']', '-', '9'};
  for (size_t edits = 1 + below(6); edits > 0; --edits) {
    const size_t at = below(b.size());
    switch (b.empty() ? 4 : below(7)) {
      case 0:
        b[at] ^= uint8_t(1 << below(8));
        break;
      case 1:
        b[at] = uint8_t(random());
        break;
      case 2:
        b[at] = kOdd[below(sizeof kOdd)];
        break;
      case 3:
        b.resize(at);
        break;
      case 4:
        b.insert(b.begin() + std::ptrdiff_t(at), uint8_t(random()));
        break;
      case 5: {  // moves a piece of the input
        const size_t from = below(b.size()),
                     n = std::min({below(32), b.size() - from, b.size() - at});
        std::copy_n(Bytes(b).begin() + std::ptrdiff_t(from), n, b.begin() + std::ptrdiff_t(at));
        break;
      }
      default: {  // the tail of another input
        const Bytes& other = seeds[below(seeds.size())];
        const size_t from = below(other.size());
        b.resize(at);
        b.insert(b.end(), other.begin() + std::ptrdiff_t(from), other.end());
      }
    }
  }
  return b;
}

}  // namespace

int main(int argc, char** argv) {
  double seconds = 0;
  uint64_t seed = 1;
  std::vector<Bytes> seeds;
  for (int i = 1; i < argc; ++i) {
    const std::string arg = argv[i];
    if (arg.starts_with("-seconds=") || arg.starts_with("-max_total_time=")) {
      seconds = std::stod(arg.substr(arg.find('=') + 1));
    } else if (arg.starts_with("-seed=")) {
      seed = std::stoull(arg.substr(6));
    } else if (arg.starts_with('-')) {
      continue;  // an option of libFuzzer
    } else if (fs::is_directory(arg)) {
      for (const auto& file : fs::recursive_directory_iterator(arg))
        if (file.is_regular_file()) seeds.push_back(read(file.path()));
    } else {
      seeds.push_back(read(arg));
    }
  }
  if (seeds.empty()) seeds.push_back({});
  for (const Bytes& input : seeds) run(input);

  std::mt19937_64 random(seed);
  const auto start = std::chrono::steady_clock::now();
  int64_t runs = int64_t(seeds.size());
  while (std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count() <
         seconds) {
    const Bytes input = mutate(seeds[random() % seeds.size()], seeds, random);
    std::ofstream("last-input", std::ios::binary)
        .write(reinterpret_cast<const char*>(input.data()), std::streamsize(input.size()));
    run(input);
    ++runs;
  }
  std::printf("%lld inputs\n", static_cast<long long>(runs));
}
