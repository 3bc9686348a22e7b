# From certification logs, one of each network and way of certifying, to the best over their sigmas:
#
#   awk -F'\t' -f cifar10-envelope.awk LOSS-CHOICE-SIGMA_CHOICE_SIGMA.tsv ...
#
# Prints, for each loss and each pair of choices (of training, of certifying), the highest accuracy at each radius, in percent, cut;
# then what data-dependent sigmas gain over fixed ones at radius 0.5, in points, with the 95 % interval of that difference: the
# images are the same on both sides, so it rests on those that only one side certifies. Of each sigma, and of the best on each side;
# of several losses then the strongest of each pair of choices over the strongest that is fixed in both. The best and the strongest are
# found on the same images, which their intervals do not know of.
# Logs of other names, without the columns that are needed, or of other images than the rest are refused.
BEGIN { radii = split("0 0.25 0.5 0.75 1", radius, " "); at = 3 }

function refuse(words) { print words > "/dev/stderr"; refused = 1; exit 2 }

FNR == 1 {
  delete column
  for (i = 1; i <= NF; i++) column[$i] = i
  if (!("idx" in column && "correct" in column && "radius" in column)) refuse(FILENAME ": not all of idx, correct and radius are there")
  name = FILENAME; sub(/.*\//, "", name); sub(/(\.memory)?\.tsv$/, "", name)
  if (name !~ /^[^-_]+-(fixed|data-dependent)-[0-9.]+_(fixed|data-dependent)_[0-9.]+$/) refuse(FILENAME ": not named LOSS-CHOICE-SIGMA_CHOICE_SIGMA")
  split(name, part, "_")
  certified = part[2]; sigma = part[3]
  split(part[1], word, "-")
  loss = word[1]; trained = part[1]; sub(/^[^-]*-/, "", trained); sub(/-[^-]*$/, "", trained)
  row = loss " | " trained " | " certified
  if (!(row in seen)) { seen[row] = 1; order[++rows] = row }
  if (!(loss in known)) { known[loss] = 1; named[++losses] = loss }
  if (!(sigma in of)) { of[sigma] = 1; sigmas = sigmas (sigmas ? ", " : "") sigma; ++count }
  sets[row, ++kinds[row]] = sigma
  next
}
{
  images[row, sigma]++
  for (i = 1; i <= radii; i++) if ($column["correct"] == 1 && $column["radius"] >= radius[i]) right[row, sigma, i]++
  if ($column["correct"] == 1 && $column["radius"] >= radius[at]) hit[row, sigma, $column["idx"]] = 1
  index_of[$column["idx"]] = 1
}

# The sigma whose accuracy at radius i is highest, the first of equals.
function best(row, i,    s, found, value, most) {
  most = -1
  for (s = 1; s <= kinds[row]; s++) {
    value = right[row, sets[row, s], i] / images[row, sets[row, s]]
    if (value > most) { most = value; found = sets[row, s] }
  }
  return found
}
function accuracy(row, i) { return right[row, best(row, i), i] / images[row, best(row, i)] }

# Row a at one sigma over row b at another, at radius 0.5, with its interval.
function gain(a, sigma_a, b, sigma_b,    id, difference, sum, squares, total, mean) {
  if (!((a, sigma_a) in images) || !((b, sigma_b) in images)) return "not certified"
  for (id in index_of) {
    difference = ((a, sigma_a, id) in hit) - ((b, sigma_b, id) in hit)
    sum += difference; squares += difference * difference; total++
  }
  mean = sum / total
  return sprintf("%+.1f ± %.1f", 100 * mean, 196 * sqrt((squares / total - mean * mean) / total))
}

# The loss whose best accuracy at radius 0.5 is highest for a pair of choices.
function strongest(pair,    l, row, found, most) {
  most = -1
  for (l = 1; l <= losses; l++) {
    row = named[l] " | " pair
    if (row in seen && accuracy(row, at) > most) { most = accuracy(row, at); found = named[l] }
  }
  return found
}
function row_of(loss, pair) { return (loss == "" ? strongest(pair) : loss) " | " pair }

# A line of gains: of one loss, or the strongest where that is ""; of one sigma, or the best for each row where that is "".
function gains(loss, sigma,    base, row, line, i) {
  line = "| " (loss == "" ? "the strongest of each" : loss) " | " (sigma == "" ? "best" : sigma) " |"
  base = row_of(loss, "fixed | fixed")
  for (i = 1; i <= 3; i++) {
    row = row_of(loss, i == 1 ? "data-dependent | fixed" : i == 2 ? "fixed | data-dependent" : "data-dependent | data-dependent")
    line = line " " gain(row, sigma == "" ? best(row, at) : sigma, base, sigma == "" ? best(base, at) : sigma) " |"
  }
  print line
}

END {
  if (refused) exit 2
  if (!rows) refuse("no logs")
  for (id in index_of) all++
  for (r = 1; r <= rows; r++) for (s = 1; s <= kinds[order[r]]; s++)
    if (images[order[r], sets[order[r], s]] != all)
      refuse("logs of different images, or one of them twice: " order[r] " at sigma " sets[order[r], s] " has " images[order[r], sets[order[r], s]] " of " all)
  printf "| loss | sigma of training | sigma of certifying |"
  for (i = 1; i <= radii; i++) printf " %.2f |", radius[i]
  printf "\n| :--- | :--- | :--- |"
  for (i = 1; i <= radii; i++) printf " ---: |"
  for (r = 1; r <= rows; r++) {
    printf "\n| %s |", order[r]
    for (i = 1; i <= radii; i++) printf " %.1f |", int(1000 * accuracy(order[r], i) + 1e-9) / 10
  }
  printf "\n\nBest over the initial sigmas %s%s.\n\n", sigmas, (count > 1 ? "" : ": one, so this is no envelope yet")
  print "| data-dependent over fixed at radius 0.5, points | sigma | in training alone | in certifying alone | in both |"
  print "| :--- | ---: | ---: | ---: | ---: |"
  amount = split(sigmas, each, ", ")
  for (l = 1; l <= losses; l++) {
    for (s = 1; s <= amount; s++) gains(named[l], each[s])
    if (amount > 1) gains(named[l], "")
  }
  if (losses > 1) gains("", amount > 1 ? "" : each[1])
  print "\n±: 95 % interval over the images, for networks as they are; another seed of training moves them too."
  if (amount > 1) print "\"best\" takes, on each side, the sigma that did best on these very images, which the interval leaves out."
  if (losses > 1) print "\"the strongest of each\" so takes the loss, on each side."
}
