#include <algorithm>
#include <map>

#include "framework/core/check.h"
#include "framework/data/archive.h"
#include "framework/data/import.h"
#include "framework/io/atomic_file.h"

namespace noisette {
namespace fs = std::filesystem;
namespace {

constexpr int64_t kMaxBytes = int64_t(1) << 29;
constexpr int64_t kSide = 32, kPlane = kSide * kSide, kRecord = 1 + 3 * kPlane;
const std::vector<std::string> kTrain{"data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin",
                                      "data_batch_4.bin", "data_batch_5.bin"};
const std::vector<std::string> kTest{"test_batch.bin"};
const std::vector<std::string> kClasses{"airplane", "automobile", "bird",  "cat",  "deer",
                                        "dog",      "frog",       "horse", "ship", "truck"};

using Members = std::map<std::string, std::vector<std::byte>>;  // file name to content

bool wanted(const std::string& name) {
  return std::count(kTrain.begin(), kTrain.end(), name) || name == kTest[0];
}

Members read_archive(const fs::path& path) {
  std::vector<std::byte> bytes = read_file(path, kMaxBytes);
  if (is_gzip(bytes)) bytes = gunzip(bytes, path.string(), kMaxBytes);
  Members members;
  for_each_tar_file(bytes, path.string(), [&](const std::string& name, auto content) {
    const std::string last = name.substr(name.rfind('/') + 1);
    if (wanted(last)) members[last].assign(content.begin(), content.end());
  });
  return members;
}

Members read_folder(const fs::path& folder) {
  const fs::path inner = folder / "cifar-10-batches-bin";
  const fs::path& at = fs::is_directory(inner) ? inner : folder;
  Members members;
  for (const auto* names : {&kTrain, &kTest})
    for (const std::string& name : *names)
      if (fs::exists(at / name)) members[name] = read_file(at / name, kMaxBytes);
  return members;
}

/// Adds the records of one file; returns how many.
int64_t add_records(DatasetWriter& writer, std::span<const std::byte> file,
                    const std::string& name) {
  std::vector<uint8_t> image(3 * kPlane);
  const int64_t count = int64_t(file.size()) / kRecord;
  for (int64_t r = 0; r < count; ++r) {
    const std::byte* record = file.data() + r * kRecord;
    const auto label = std::to_integer<int32_t>(record[0]);
    check_user(label < 10, "[import] {}: record {} has label {}; expected 0 to 9", name, r, label);
    for (int64_t p = 0; p < kPlane; ++p)  // planes to interleaved channels
      for (int64_t c = 0; c < 3; ++c)
        image[std::size_t(3 * p + c)] = std::to_integer<uint8_t>(record[1 + c * kPlane + p]);
    writer.add(image, label);
  }
  return count;
}

}  // namespace

ImportResult import_cifar10(const fs::path& source, const fs::path& output,
                            const ImportProgress& progress) {
  const Members members = fs::is_directory(source) ? read_folder(source) : read_archive(source);
  int64_t total = 0;
  for (const auto* names : {&kTrain, &kTest})
    for (const std::string& name : *names) {
      const auto member = members.find(name);
      check_user(
          member != members.end(),
          "[import] {} does not hold {}; the binary version is needed (cifar-10-binary.tar.gz)",
          source.string(), name);
      const auto bytes = int64_t(member->second.size());
      check_user(bytes > 0 && bytes % kRecord == 0,
                 "[import] {} of {} must be a multiple of {} bytes; got {}", name, source.string(),
                 kRecord, bytes);
      total += bytes / kRecord;
    }

  DatasetWriter writer(output, total, kSide, kSide, 3);
  int64_t sizes[2] = {0, 0};
  for (int split : {0, 1})
    for (const std::string& name : split == 0 ? kTrain : kTest) {
      sizes[split] += add_records(writer, members.at(name), name);
      if (progress) progress(writer.count(), total);
    }
  ImportResult result;
  result.info = writer.finish("cifar10", kClasses, {{"train", sizes[0]}, {"test", sizes[1]}});
  return result;
}

}  // namespace noisette
