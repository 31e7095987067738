// How good generated images are, judged by real ones. Distances are Euclidean over pixels: plain,
// reproducible, and only meaningful for small, centred images such as Fashion-MNIST. This is not
// FID.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "framework/data/dataset.h"

namespace noisette {

/// A k-nearest-neighbour vote: does the class that most of an image's nearest real images have
/// agree with the class the image was asked for? Ties go to the class of the nearest neighbour
/// among the tied.
struct VoteResult {
  int64_t images = 0, correct = 0;
  std::vector<int64_t> asked, right;  // per class
  double share() const { return images ? double(correct) / double(images) : 0; }
};
/// `samples` are judged by the first `reference` images of `real` (0: all). Shapes must agree.
VoteResult nearest_neighbour_vote(const DataSplit& samples, const DataSplit& real,
                                  int64_t reference, int64_t k);

/// Mean distance between two different images of one class, generated over real: 1 is the variety
/// of real images.
struct VarietyResult {
  std::vector<double> generated, real, ratio;  // per class; NaN with fewer than two images
  std::vector<int64_t> samples, originals;     // images of the class on either side
  double mean_ratio = 0;                       // over the classes with a ratio; NaN without one
};
/// Per class at most `limit` images of each side are compared with each other.
VarietyResult variety(const DataSplit& samples, const DataSplit& real, int64_t limit);

}  // namespace noisette
