//! Filters that put the items of several lists together.

use minijinja::value::{Rest, ValueOrKwargs};
use minijinja::{Environment, Error, Value};

use super::super::arguments::{items, room_for, split};

pub(super) fn add(environment: &mut Environment<'static>) {
    environment.add_filter("product", product);
    environment.add_filter("combinations", |list: &Value, count: usize| {
        let (list, mut out) = (items(list)?, Vec::new());
        if count <= list.len() {
            choose(&list, count, &mut Vec::new(), &mut out)?;
        }
        Ok::<_, Error>(out)
    });
    environment.add_filter("zip_longest", zip_longest);
}

fn product(first: &Value, rest: Rest<ValueOrKwargs>) -> Result<Vec<Value>, Error> {
    let (others, named) = split(rest)?;
    named.assert_all_used()?;
    let mut all: Vec<Vec<Value>> = vec![Vec::new()];
    for list in std::iter::once(first).chain(&others) {
        let list = items(list)?;
        let longer = |row: Vec<Value>| {
            let with = |item: &Value| row.iter().chain([item]).cloned().collect::<Vec<_>>();
            list.iter().map(with).collect::<Vec<_>>()
        };
        room_for(all.len().saturating_mul(list.len()).saturating_mul(1 + others.len()))?;
        all = all.into_iter().flat_map(longer).collect();
    }
    Ok(all.into_iter().map(Value::from).collect())
}

fn choose(list: &[Value], count: usize, chosen: &mut Vec<Value>, out: &mut Vec<Value>) -> Result<(), Error> {
    if count == 0 {
        out.push(Value::from(chosen.clone()));
        return room_for(out.len().saturating_mul(chosen.len()));
    }
    // Those that leave too few behind them begin none.
    for (index, item) in list.iter().enumerate().take((list.len() + 1).saturating_sub(count)) {
        chosen.push(item.clone());
        choose(&list[index + 1..], count - 1, chosen, out)?;
        chosen.pop();
    }
    Ok(())
}

fn zip_longest(first: &Value, rest: Rest<ValueOrKwargs>) -> Result<Vec<Value>, Error> {
    let (others, named) = split(rest)?;
    let fill = named.get::<Option<Value>>("fillvalue")?.unwrap_or_else(|| Value::from(()));
    named.assert_all_used()?;
    let lists = std::iter::once(first).chain(&others).map(items).collect::<Result<Vec<_>, _>>()?;
    let longest = lists.iter().map(Vec::len).max().unwrap_or_default();
    let row = |index: usize| lists.iter().map(|list| list.get(index).unwrap_or(&fill).clone()).collect::<Vec<_>>();
    Ok((0..longest).map(row).map(Value::from).collect())
}
