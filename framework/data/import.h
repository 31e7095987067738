// Makes data sets from what is published or lies in folders. The file appears only when the import
// is complete.
#pragma once
#include <array>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "framework/data/dataset.h"

namespace noisette {

/// Called now and then with images done and images expected, always from the calling thread.
using ImportProgress = std::function<void(int64_t done, int64_t total)>;

struct BadFile {
  std::string path, reason;
};

struct ImportResult {
  DatasetInfo info;
  std::vector<BadFile> skipped;      // broken files that were left out
  std::vector<std::string> ignored;  // files of kinds that are not read
  int64_t enlarged = 0;              // images smaller than the size asked for
};

inline constexpr const char* kFashionMnistFolder = "/usr/share/datasets/fashion-mnist";

/// The four idx files, plain or gzipped: 60,000 images for training, 10,000 for testing, 28 x 28
/// grey, ten classes. Xiao et al. 2017, arXiv:1708.07747.
ImportResult import_fashion_mnist(const std::filesystem::path& folder,
                                  const std::filesystem::path& output,
                                  const ImportProgress& progress = {});

/// The official binary version, as archive (.tar.gz or .tar) or extracted: 50,000 + 10,000 images,
/// 32 x 32 RGB, ten classes. Krizhevsky 2009, "Learning Multiple Layers of Features from Tiny
/// Images".
ImportResult import_cifar10(const std::filesystem::path& archive_or_folder,
                            const std::filesystem::path& output,
                            const ImportProgress& progress = {});

struct ImageFolderOptions {
  int64_t width = 64, height = 64;
  int64_t channels = 3;
  std::array<uint8_t, 3> background = {255, 255, 255};  // behind transparent pixels
  double test_fraction = 0;  // chosen by a hash of each path: adding files moves none across
  bool skip_bad = false;
};

/// Every PNG and JPEG below `folder` (hidden files excepted), resized and cropped at the centre.
/// The first sub-folder is the class; a .txt of the same name is the caption. Broken files stop the
/// import, all of them named, unless skip_bad.
ImportResult import_image_folder(const std::filesystem::path& folder,
                                 const std::filesystem::path& output,
                                 const ImageFolderOptions& options = {},
                                 const ImportProgress& progress = {});

}  // namespace noisette
